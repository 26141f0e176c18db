"""The command `lookdeep tfrecords`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from pipeline import tables
from pipeline.commands.cli import output_root_option
from pipeline.config import PipelineConfig

if TYPE_CHECKING:
    from components.ingest.tfrecords import TFRecordsReport


@click.command()
@output_root_option(
    "Folder for everything a run writes; the TFRecords go to its subfolder data/tfrecords."
)
@click.option(
    "--master",
    "master_csv",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Master table, if it is not data/tranch_master.csv in the output root.",
)
@click.option(
    "--size",
    default=PipelineConfig.model_fields["ingest_size"].default,
    show_default=True,
    type=click.IntRange(64, 4096),
    help="Side of the square that pictures are scaled down to fit, in pixels.",
)
def tfrecords(output_root: Path, master_csv: Path | None, size: int) -> None:
    """Write the pictures of tranch_master.csv and their labels to TFRecords.

    Each picture is turned upright, scaled down and measured. Unusable pictures are
    listed with the reason in rejects.csv. Tranches that have not changed since the
    last time are left as they are.
    """
    master_csv = master_csv or output_root / "data" / "tranch_master.csv"
    out_dir = output_root / "data" / "tfrecords"
    from components.ingest.tfrecords import write_tfrecords

    click.echo(f"Reading the pictures named in {master_csv}.")
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task("Pictures", total=None, visible=False)
        report = write_tfrecords(
            master_csv,
            out_dir,
            size=size,
            advance=lambda done, total: bars.update(bar, completed=done, total=total, visible=True),
        )
    _show(report)
    click.echo(f"The TFRecords are in {out_dir}.")


def _show(report: "TFRecordsReport") -> None:
    console = Console()
    tables.show(
        console,
        ("Tranche", "Rows", "Written", "Rejected", "Reused"),
        [
            (
                name,
                *(f"{n:,}" for n in (counts.rows, counts.written, counts.rejected)),
                "yes" if name in report.reused else "no",
            )
            for name, counts in report.tranches.items()
        ],
        numbers=range(1, 4),
        title="Rows of the master table, as TFRecords",
    )
    tables.show(
        console,
        ("Rejected because", "Pictures"),
        [(reason, f"{count:,}") for reason, count in report.reasons.most_common()],
        numbers=[1],
        title="Rejects",
    )
    for name in report.removed:
        console.print(f"Removed the TFRecords of tranche {name}: no row names it any more.")
