"""The command `lookdeep review`: draws the page of a run again."""

from pathlib import Path

import click

from components.errors import InputError
from pipeline.commands.cli import output_root_option


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@output_root_option("Output folder of the runs.")
@click.option("--against", metavar="RUN", help="Compare with this run, not with the baseline.")
@click.option(
    "--blur", is_flag=True, help="Blur all pictures in the file, so that it can be passed on."
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def review(
    run_id: str | None, output_root: Path, against: str | None, blur: bool, open_page: bool
) -> None:
    """Draw the review page of RUN, or of the last run, again.

    The page is one file, OUT/review/RUN/index.html, that needs no network.
    `lookdeep status` lists the runs.
    """
    from pipeline.runs import snapshot

    output_root = output_root.absolute()
    if run_id is None:
        runs = snapshot.runs(output_root)
        if not runs:
            raise InputError(
                f"There is no run in {output_root} yet; start one with `lookdeep run`,"
                " or name another folder with --output-root."
            )
        run_id = runs[-1]
    known = snapshot.read(output_root, run_id)
    click.echo(f"Drawing the page of run {run_id}; this takes about half a minute.")
    from pipeline.review import build

    page = build.build(known, against=against, blur=blur)
    click.echo(page)
    if open_page:
        click.launch(page.as_uri())
