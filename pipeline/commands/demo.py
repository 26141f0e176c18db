"""The command `lookdeep demo`."""

from collections.abc import Iterable
from pathlib import Path

import click

from components import command_line
from pipeline.config import DEMO_SETTINGS


@click.command()
@click.option(
    "--output",
    default=Path("output/demo"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the image zips and label tables.",
)
@click.option(
    "--tranches",
    "count",
    default=3,
    show_default=True,
    help="How many; those from 4 on show the same kinds of rooms by other cameras.",
)
@click.option("--clips", type=int, help="Clips in all, with two pictures each on average.")
@click.option("--seed", type=int, help="Seed of all randomness: other people in other rooms.")
def demo(output: Path, count: int, clips: int | None, seed: int | None) -> None:
    """Draw tranches of posture pictures to try the pipeline on.

    People sit, stand and lie in drawn rooms. Files and tables have the layout and
    the quirks of the original tranches, including some broken images. The demo shows
    that the software works; it says nothing about clinical accuracy. Tranches that
    exist already are not drawn again.
    """
    click.echo(
        f"Drawing demo tranches in {output}. They show that the software works, not its clinical"
        " accuracy."
    )
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from components.demo.tranches import DEFAULT_SEED, draw_tranches
    from pipeline import tables
    from schema import features

    console = Console()
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("clips", total=None)
        report = draw_tranches(
            output,
            tranches=count,
            clips=clips,
            seed=DEFAULT_SEED if seed is None else seed,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
        )
    tranches = report.tranches

    def row(heading: str, counts: Iterable[int]) -> tuple[str, ...]:
        return heading, *(f"{count:,}" for count in counts)

    tables.show(
        console,
        ("Tranche", *(tranche.name for tranche in tranches)),
        [
            row("clips", (tranche.clips for tranche in tranches)),
            row("images", (tranche.images for tranche in tranches)),
            row("labels", (tranche.rows for tranche in tranches)),
            *(
                row(f"  {posture or 'blank'}", [each.postures.get(posture, 0) for each in tranches])
                for posture in (*features.POSTURES, features.UNKNOWN_POSTURE, "")
            ),
            row("corrupt images", (tranche.corrupt for tranche in tranches)),
            row("images without label", (tranche.images_without_label for tranche in tranches)),
            row("labels without image", (tranche.labels_without_image for tranche in tranches)),
        ],
        numbers=range(1, len(tranches) + 1),
        title="Demo tranches",
    )
    if not report.drawn:
        click.echo("The same demo existed already; nothing was drawn.")
    run = command_line.lookdeep("run", "--data-root", output.absolute(), "--config", DEMO_SETTINGS)
    click.echo(f"Run the pipeline on it:\n{run}")
