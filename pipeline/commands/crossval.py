"""The command `lookdeep crossval`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from components import processes
from components.code_digest import code_digest
from components.crossval.recipes import RECIPES
from components.errors import InputError
from pipeline import beam, config, tables
from pipeline.commands.cli import output_root_option
from pipeline.config import NO_WEIGHTS, PipelineConfig
from pipeline.process import launcher
from pipeline.process.base_weights import check as check_base_weights

if TYPE_CHECKING:
    from components.crossval.cells import Cell

DEFAULT_RECIPES: Final = ("default", "original", "plain", "logistic")


@click.command()
@click.option(
    "--data-root",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the tranches, as for `lookdeep run`.",
)
@output_root_option("Folder for TFRecords, stored features and the table.")
@click.option(
    "--base-weights",
    metavar="imagenet|FILE.h5",
    help="Weights that training starts from.  [default: imagenet]",
)
@click.option(
    "--config",
    "settings",
    type=click.Path(path_type=Path),
    help="TOML file with the settings of the `default` recipe.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    type=click.Choice(RECIPES),
    metavar="NAME",
    default=DEFAULT_RECIPES,
    show_default=True,
    help=f"A recipe to train; may be repeated. One of: {', '.join(RECIPES)}.",
)
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2, 20),
    help="Number of folds of clips; each is held out once.",
)
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(1, 20),
    help="Number of repetitions, each with its own folds and random draws.",
)
@click.option(
    "--keep-test-out",
    is_flag=True,
    help="Leave out the test clips of `lookdeep run`. Use this to choose a recipe.",
)
def crossval(
    data_root: Path,
    output_root: Path,
    base_weights: str | None,
    settings: Path | None,
    recipes: Sequence[str],
    folds: int,
    seeds: int,
    keep_test_out: bool,
) -> None:
    """Compare training recipes on clips and tranches held out.

    Finished trainings are kept under OUTPUT_ROOT/crossval, and the same command
    continues after them. The table is stored there as crossval.json.
    """
    chosen = config.load(
        settings, data_root=data_root, output_root=output_root, base_weights=base_weights
    )
    if chosen.base_weights == NO_WEIGHTS:
        raise InputError(
            "Cross-validation compares ways to train from given weights; name them with"
            " --base-weights."
        )
    check_base_weights(chosen)
    click.echo("Loading TensorFlow; this takes about ten seconds.", err=True)
    processes.hush_libraries()
    try:
        # So that a closed terminal or a `kill` also ends the training process.
        with launcher.signals_interrupt(), launcher.output_folder(chosen):
            _run(chosen, recipes, folds, seeds, keep_test_out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(launcher.STOPPED) from None


def _run(
    chosen: PipelineConfig, recipes: Sequence[str], folds: int, seeds: int, keep_test_out: bool
) -> None:
    # Not above: importing TensorFlow takes ten seconds.
    from components.crossval import cells
    from components.crossval.pool import read_pool
    from components.crossval.trials import FROZEN_LAYERS, TRAININGS, Trials
    from components.examples.example_gen import SHARD_PATTERN, is_test_clip
    from pipeline.pipeline import trainer_settings
    from pipeline.process.worker import Progress as Steps
    from pipeline.process.worker import ingest

    folder = chosen.crossval_dir
    folder.mkdir(exist_ok=True)
    steps = Steps()
    ingest(chosen, steps, beam.local_args())
    for warning in steps.warnings:
        click.echo(f"Warning: {warning.sentence}", err=True)
    shards = sorted(map(str, chosen.tfrecords_dir.glob(SHARD_PATTERN)))
    bars = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bars, tempfile.TemporaryDirectory(dir=folder) as scratch:
        tasks = {
            FROZEN_LAYERS: bars.add_task(FROZEN_LAYERS, total=None, visible=False),
            TRAININGS: bars.add_task(TRAININGS, total=None),
        }

        def report(what: str, done: int, total: int) -> None:
            bars.update(tasks[what], completed=done, total=total, visible=True)

        pool = read_pool(
            shards,
            chosen.selection,
            chosen.image_size,
            chosen.fit,
            Path(scratch),
            lambda clip: keep_test_out and is_test_clip(clip, chosen.splits.model_dump()),
        )
        trials = Trials(
            pool,
            trainer_settings(chosen),
            chosen.feature_cache_dir,
            folder,
            code_digest("components.crossval.trials"),
        )
        found = cells.cross_validate(trials, pool, recipes, folds, seeds, report)
    cells.write(folder / "crossval.json", found, pool, folds, keep_test_out)
    _show(found, len(pool.labels), seeds)


def _show(cells: Sequence["Cell"], images: int, seeds: int) -> None:
    tables.show(
        Console(),
        (
            "recipe",
            "held out",
            "accuracy",
            "95 % interval",
            "spread",
            "calibration error",
            "by chance",
        ),
        [
            (
                cell.recipe,
                cell.held_out,
                f"{cell.accuracy * 100:.1f} %",
                f"{cell.low * 100:.1f} to {cell.high * 100:.1f} %",
                f"{min(cell.accuracies) * 100:.1f} to {max(cell.accuracies) * 100:.1f} %",
                f"{cell.calibration_error:.3f}",
                f"{cell.calibration_error_by_chance:.3f}",
            )
            for cell in cells
        ],
        numbers=range(2, 7),
        title=f"{images:,} images; mean over {seeds} seed{'s' if seeds > 1 else ''}",
        caption=(
            "Intervals take the frames of a clip as right or wrong together."
            " Spread: lowest to highest seed. Calibration errors are from 0, the best, to 1."
            " By chance: that of a perfectly calibrated model on these clips."
        ),
    )
