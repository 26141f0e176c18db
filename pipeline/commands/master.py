"""The command `lookdeep master`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from pipeline import tables
from pipeline.commands.byte_progress import Bars, byte_progress
from pipeline.commands.cli import output_root_option
from schema import features

if TYPE_CHECKING:
    from components.ingest.master import MasterReport


@click.command()
@click.option(
    "--data-root",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with tranch1_labels.csv, persons-posture-tranch1.zip and so on.",
)
@output_root_option("Folder for everything a run writes; the tables go to its subfolder data.")
@click.option("--labels-only", is_flag=True, help="Only count labels; the tables need no images.")
def master(data_root: Path, output_root: Path, labels_only: bool) -> None:
    """Join all tranches into one tranch_master.csv and count its contents."""
    click.echo(f"Reading the tranches in {data_root}.")
    from components.ingest.master import build_master

    with byte_progress() as progress:
        bars = Bars(progress)
        report = build_master(
            data_root,
            output_root / "data",
            labels_only=labels_only,
            advance=lambda name, done, total: bars.advance(
                f"Unzipping tranche {name}", done, total
            ),
        )
    _show(report, labels_only)


def _show(report: "MasterReport", labels_only: bool) -> None:
    """Prints the counts by tranche, the contradictions and the paths."""
    tranches = report.tranches
    if not labels_only:
        _print_counts(
            "Tables and images",
            ("Rows", "Images", "Matched", "Labels without image", "Images without label"),
            {
                name: (
                    counts.rows,
                    counts.images,
                    counts.matched,
                    counts.labels_without_image,
                    counts.images_without_label,
                )
                for name, counts in tranches.items()
            },
        )
    _print_counts(
        "Labels",
        ("Rows", "Known posture", *features.POSTURES),
        {
            name: (
                counts.rows if labels_only else counts.matched,
                counts.known_posture,
                *counts.postures.values(),
            )
            for name, counts in tranches.items()
        },
    )
    click.echo(
        f"{report.rows:,} rows in {report.clips:,} clips; {report.known_posture:,} with a known"
        f" posture; {report.single_person:,} in the selection {features.SINGLE_PERSON}."
    )
    for kind, count in report.contradictions.items():
        if count:
            click.echo(f"{count:,} contradictory rows: {kind}. They stay in the table.")
    others = sum(counts.other_files for counts in tranches.values())
    if others:
        click.echo(f"{others:,} files among the images are not images.")
    for warning in report.warnings:
        click.echo(f"Warning: {warning}")
    click.echo(f"Master table: {report.master}")
    click.echo(f"What did not match: {report.rejects}")
    click.echo(f"Contradictory rows: {report.contradictory_rows}")


def _print_counts(title: str, columns: tuple[str, ...], rows: dict[str, tuple[int, ...]]) -> None:
    """Prints a table of counts by tranche, with totals."""
    totals = (sum(column) for column in zip(*rows.values(), strict=True))
    tables.show(
        Console(),
        ("Tranche", *columns),
        [
            (name, *(f"{count:,}" for count in counts))
            for name, counts in (*rows.items(), ("All", totals))
        ],
        numbers=range(1, len(columns) + 1),
        title=title,
    )
