"""The command `lookdeep download`."""

from pathlib import Path

import click

from pipeline.commands.byte_progress import Bars, byte_progress


@click.command()
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data-root",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to put the tranches in, for `lookdeep run --data-root`.",
)
def download(spec: Path, data_root: Path) -> None:
    """Fetch the tranches named in the TOML file SPEC.

    SPEC has a [[tranche]] for each, with name, images, images_sha256, labels and
    labels_sha256; images and labels are http(s) addresses or paths. Run the command
    again to continue a download that broke off.
    """
    click.echo(f"Fetching the tranches named in {spec} to {data_root}.")
    from components.ingest import download as fetch

    with byte_progress() as progress:
        bars = Bars(progress)
        files = fetch.download(spec, data_root, bars.advance)
    for path, fetched in files.items():
        click.echo(f"{path}: {'fetched and checked' if fetched else 'exists already, checked'}")
