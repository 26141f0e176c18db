"""The command `lookdeep crossval`: how well recipes do on clips and tranches never seen."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from components import processes
from components.code_digest import code_digest
from components.errors import InputError
from pipeline import beam, config
from pipeline.config import NO_WEIGHTS, PipelineConfig
from pipeline.process import base_weights, launcher

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
@click.option(
    "--output-root",
    default=Path("output"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for TFRecords, stored features and the table.",
)
@click.option(
    "--base-weights",
    metavar="imagenet|FILE.h5",
    help="What training starts from.  [default: imagenet]",
)
@click.option(
    "--config",
    "settings",
    type=click.Path(path_type=Path),
    help="TOML file with the settings of the default recipe.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=DEFAULT_RECIPES,
    show_default=True,
    help="A recipe to try; may be given several times. An unknown name lists them all.",
)
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2, 20),
    help="Into how many parts the clips are cut, each of them held out once.",
)
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(1, 20),
    help="How often everything is repeated, with other folds and other draws.",
)
@click.option(
    "--keep-test-out",
    is_flag=True,
    help="Leave out the clips that `lookdeep run` tests on: to choose a recipe by.",
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
    """Compare training recipes on clips and on tranches that they have not seen.

    Finished trials are kept under OUTPUT_ROOT/crossval: the same command goes on from
    there. The table is stored beside them as crossval.json.
    """
    chosen = config.load(
        settings, data_root=data_root, output_root=output_root, base_weights=base_weights
    )
    _check(chosen, recipes)
    try:
        # A closed terminal or a `kill` would else leave the training to itself.
        with launcher.signals_interrupt(), launcher.output_folder(chosen):
            _run(chosen, recipes, folds, seeds, keep_test_out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(launcher.STOPPED) from None


def _check(chosen: PipelineConfig, recipes: Sequence[str]) -> None:
    if chosen.base_weights == NO_WEIGHTS:
        raise InputError(
            "Cross-validation compares ways to train from given weights; name them with"
            " --base-weights."
        )
    base_weights.check(chosen)
    # By their file: importing them would take half a minute before the first word.
    click.echo("Loading TensorFlow; this takes some ten seconds.", err=True)
    processes.hush_libraries()
    from components.crossval.trials import RECIPES

    for name in recipes:
        if name not in RECIPES:
            raise InputError(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")


def _run(
    chosen: PipelineConfig, recipes: Sequence[str], folds: int, seeds: int, keep_test_out: bool
) -> None:
    from components.crossval.cells import cross_validate
    from components.crossval.pool import read_pool
    from components.crossval.trials import FROZEN_LAYERS, TRAININGS, Trials
    from components.examples.example_gen import SHARD_PATTERN, is_test_clip
    from pipeline.pipeline import trainer_settings
    from pipeline.process.worker import Progress as Steps
    from pipeline.process.worker import ingest

    folder = chosen.output_root / "crossval"
    folder.mkdir(exist_ok=True)
    ingest(chosen, Steps(), beam.local_args())
    shards = sorted(map(str, chosen.tfrecords_dir.glob(SHARD_PATTERN)))
    console = Console()
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
        cells = cross_validate(
            trials,
            pool,
            recipes,
            folds,
            seeds,
            lambda what, done, total: bars.update(
                tasks[what], completed=done, total=total, visible=True
            ),
        )
    (folder / "crossval.json").write_text(
        json.dumps(
            {
                "images": len(pool.labels),
                "clips": len(set(pool.clips.tolist())),
                "test clips left out": keep_test_out,
                "folds": folds,
                "cells": [asdict(cell) for cell in cells],
            },
            indent=2,
        ),
        encoding="utf-8",
    )
    console.print(_table(cells, len(pool.labels), seeds))


def _table(cells: Sequence["Cell"], images: int, seeds: int) -> Table:
    table = Table(
        *(
            "recipe",
            "held out",
            "accuracy",
            "95 % interval",
            "spread",
            "calibration error",
            "by chance",
        ),
        title=f"{images:,} images; mean over {seeds} seed{'s' if seeds > 1 else ''}",
        caption=(
            "Intervals count the frames of a clip as right or wrong together."
            " Spread: lowest to highest seed."
            " By chance: what a model with just the right confidence has on so few clips."
        ),
    )
    for cell in cells:
        table.add_row(
            cell.recipe,
            cell.held_out,
            f"{cell.accuracy:.3f}",
            f"{cell.low:.3f} to {cell.high:.3f}",
            f"{min(cell.accuracies):.3f} to {max(cell.accuracies):.3f}",
            f"{cell.calibration_error:.3f}",
            f"{cell.calibration_error_by_chance:.3f}",
        )
    return table
