"""Compares our training with the original's loop, on the same pictures.

    python -m benchmarks.training [--data ../shared/data] [--images 597] [--record]

Each row is a process of its own. The original's loop (components/training/original_recipe.py)
holds all pictures, of 224 pixels, in memory as float64 and trains everything from layer
100 on for ten epochs. Ours trains ten epochs on the same pictures, six of the head and
four of the open layers, and its default number of epochs on pictures of 224 pixels and
of the default size; each once with nothing stored, and once with the frozen layers' output
from the first run. Images a second count each picture once per epoch; the time includes the
frozen layers.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import figures, goals, stages
from benchmarks.costs import peak_memory
from benchmarks.goals import Goal
from components.ingest.master import MASTER_NAME
from components.ingest.tfrecords import write_tfrecords
from pipeline.config import PipelineConfig, load

if TYPE_CHECKING:
    from components.crossval.pool import Pool


class Ours(NamedTuple):
    """One of our trainings.

    Attributes:
      size: side of the pictures, pixels.
      head_epochs: epochs of the head.
      fine_tune_epochs: epochs of the open layers.
    """

    size: int
    head_epochs: int
    fine_tune_epochs: int


ORIGINAL_SIZE: Final = 224
ORIGINAL: Final = "original's loop, 10 epochs"
_DEFAULT: Final = PipelineConfig()
_EPOCHS: Final = _DEFAULT.head_epochs, _DEFAULT.fine_tune_epochs
_TRAININGS: Final = {
    "ours, 10 epochs": Ours(ORIGINAL_SIZE, 6, 4),
    "ours, default epochs": Ours(ORIGINAL_SIZE, *_EPOCHS),
    f"ours, default epochs, {_DEFAULT.image_size} pixels": Ours(_DEFAULT.image_size, *_EPOCHS),
}
OURS: Final = {
    f"{name}, {state}": training
    for name, training in _TRAININGS.items()
    for state in ("nothing stored", "features stored")
}


def _pictures(folder: Path, size: int) -> "Pool":
    """The ingested photos, as Transform stores them."""
    from components.crossval.pool import read_pool
    from components.examples.example_gen import SHARD_PATTERN

    shards = sorted(map(str, (folder / "tfrecords").glob(SHARD_PATTERN)))
    scratch = Path(tempfile.mkdtemp(dir=folder))
    return read_pool(shards, "labelled", size, "stretch", scratch, lambda clip: False)


def original(folder: Path, weights: Path) -> dict[str, float]:
    """Ten epochs of the original's loop: seconds of the first one and of all, CPU seconds."""
    import keras
    import numpy as np
    import tensorflow as tf

    from components.training import original_recipe
    from components.training.training_data import CLASSES, decode, read_split

    pool = _pictures(folder, ORIGINAL_SIZE)
    built = original_recipe.build(ORIGINAL_SIZE, 1.0, str(weights))
    started, cpu = time.monotonic(), time.process_time()
    images = np.stack(
        [
            decode(png, ORIGINAL_SIZE)[0].numpy() / np.float64(255)
            for png, _, _ in read_split(pool.files)
        ]
    )
    marks: list[float] = []
    built.fit(
        images,
        tf.one_hot(pool.labels, CLASSES),
        batch_size=original_recipe.BATCH_SIZE,
        epochs=original_recipe.EPOCHS,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: marks.append(time.monotonic())
            )
        ],
    )
    return {
        "before": marks[0] - started,
        "total": marks[-1] - started,
        "cpu": time.process_time() - cpu,
        "epochs": original_recipe.EPOCHS,
        "peak": peak_memory(),
    }


def ours(folder: Path, weights: Path, training: Ours) -> dict[str, float]:
    """A training in two phases: seconds of the frozen layers and of all, CPU seconds."""
    import keras
    import numpy as np

    from components.training import network, phases
    from components.training.frozen_features import FeatureCache
    from components.training.training_data import Examples, Part
    from pipeline.pipeline import trainer_settings

    size, head_epochs, fine_tune_epochs = training
    chosen = load(
        None,
        data_root=folder,
        base_weights=str(weights),
        image_size=size,
        head_epochs=head_epochs,
        fine_tune_epochs=fine_tune_epochs,
        early_stopping_patience=1000,
    )
    settings = trainer_settings(chosen)
    pool = _pictures(folder, size)
    posture_model = network.build_model(size, 1.0, str(weights))
    ends = sorted(phases.frozen_ends(posture_model, settings))
    views = settings.views_from(network.POOL)
    # The second training with these settings finds the features that the first has stored.
    cache = folder / f"features for {size} pixels, {fine_tune_epochs} epochs"
    started, cpu = time.monotonic(), time.process_time()
    found = FeatureCache(cache, posture_model, ends, views, settings.augmentation).features(
        pool.files, lambda done, total: None
    )
    computed = time.monotonic()
    members = np.arange(len(pool.labels))

    def examples(end: str | None) -> tuple[Examples, Examples]:
        assert end  # noqa: S101 (for the type checker)
        # One eval picture is enough: only the training is timed.
        return Part(found[end], members), Part(found[end], members[:1])

    keras.utils.set_random_seed(settings.seed)
    with tempfile.TemporaryDirectory() as scratch:
        phases.fit(posture_model, settings, examples, Path(scratch), Path(scratch, "logs"))
    ended = time.monotonic()
    return {
        "before": computed - started,
        "total": ended - started,
        "cpu": time.process_time() - cpu,
        "epochs": head_epochs + fine_tune_epochs,
        "peak": peak_memory(),
    }


def measure(row: str, folder: Path, weights: Path) -> None:
    """Does one training in this process and prints its figures as JSON."""
    took = original(folder, weights) if row == ORIGINAL else ours(folder, weights, OURS[row])
    print(json.dumps(took))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, or prints the table of what it measured."""
    parser = figures.parser(__doc__)
    parser.add_argument("--images", type=int, default=597)
    parser.add_argument("--measure", nargs=2, metavar=("ROW", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    data = given.data.resolve()
    weights = stages.weights(data)
    if given.measure:
        row, folder = given.measure
        measure(row, Path(folder), weights)
        return
    table = Table(
        "training",
        "epochs",
        "first epoch or frozen layers, s",
        "all, s",
        "CPU s",
        "images a second",
        "peak, MiB",
    )
    rate: dict[str, float] = {}
    recorded: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = stages.linked_tranches(data, folder, given.images) / MASTER_NAME
        write_tfrecords(photos, folder / "tfrecords", size=_DEFAULT.ingest_size)
        for row in (ORIGINAL, *OURS):
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training"]
            command += ["--data", str(data)]
            done = subprocess.run(  # noqa: S603 (a command of ours)
                [*command, "--measure", row, scratch],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            took = json.loads(done.stdout.splitlines()[-1])
            rate[row] = took["epochs"] * given.images / took["total"]
            recorded[row] = {
                "frozen_seconds": took["before"],
                "seconds": took["total"],
                "cpu_seconds": took["cpu"],
                "images_a_second": rate[row],
                "times_original": rate[row] / rate[ORIGINAL],
                "peak_mib": took["peak"] / 2**20,
            }
            table.add_row(
                row,
                f"{took['epochs']:.0f}",
                f"{took['before']:.1f}",
                f"{took['total']:.1f}",
                f"{took['cpu']:.1f}",
                f"{rate[row]:.0f}",
                f"{took['peak'] / 2**20:,.0f}",
            )
    Console().print(table)
    reached = [
        Goal.at_least(f"throughput of {row} over the original's", rate[row] / rate[ORIGINAL], 3)
        for row in OURS
    ]
    goals.show(reached)
    if given.record:
        figures.record("training", recorded)


if __name__ == "__main__":
    main()
