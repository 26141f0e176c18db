"""The command `lookdeep export`: the model in service, small enough for a device at the bedside."""

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import InputError
from pipeline.commands.cli import output_root_option
from pipeline.commands.predict import find_model
from pipeline.config import PipelineConfig
from pipeline.runs import snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.record import EXIT_STATUS
from schema import features

if TYPE_CHECKING:
    from components.serving.tflite.check import Latency, Score

# Representative pictures for the ranges of the int8 model's activations.
CALIBRATION_PICTURES: Final = 200

# The least share of the test pictures that each model has to decide as the SavedModel does.
AGREEMENT: Final = {"float16": 0.99, "int8": 0.98}

DESCRIPTION: Final = "model.json"


@dataclass(frozen=True)
class Source:
    """What a pushed model was made from.

    Attributes:
      saved_model: its folder, named by its version.
      keras_model: the file that the Trainer kept.
      examples: folder of the raw examples that it was trained and judged on.
      train_images: how many of them are in the train split.
      size: side of the model's input, pixels.
      fit: how pictures are brought to it.
    """

    saved_model: Path
    keras_model: Path
    examples: Path
    train_images: int
    size: int
    fit: str


@dataclass(frozen=True)
class Model:
    """A model and what was measured of it.

    Attributes:
      name: `SavedModel`, `float16` or `int8`.
      size: bytes on disk.
      score: on the test split.
      latency: of one picture, by number of threads.
      content: the TFLite file; empty for the SavedModel.
    """

    name: str
    size: int
    score: "Score"
    latency: "dict[int, Latency]"
    content: bytes = b""


@click.command()
@click.option("--tflite", is_flag=True, help="Write TFLite models, float16 and int8.")
@output_root_option("Output folder of the run that pushed the model.")
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=Path),
    help="Folder to write to; must be new or empty.  [default: OUT/tflite/VERSION]",
)
@click.pass_context
def export(ctx: click.Context, tflite: bool, output_root: Path, destination: Path | None) -> None:
    """Write the last pushed model for a device without TensorFlow.

    Both models have to decide as the pushed model does, on the test pictures. If one of them
    does not, nothing is written and the exit status is 3.
    """
    if not tflite:
        raise click.UsageError("Say in which form: --tflite.")
    config = snapshot.settings(output_root.absolute())
    source = find_source(config)
    version = source.saved_model.name
    destination = (destination or config.output_root / "tflite" / version).absolute()
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise InputError(
            f"There is something in {destination} already; remove it, or name another folder"
            " with --to."
        )
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    log = config.logs_dir / f"export-{version}.log"
    errors.print(
        Text(f"Converting and checking model {version}; this takes minutes. The log is {log}.")
    )
    with native_output_to(log):
        models, refusals = _convert(source)
        if not refusals:
            write(destination, source, models)
    Console().print(_table(models))
    if refusals:
        errors.print(Text(f"{'; '.join(refusals)}; nothing was written."))
        ctx.exit(EXIT_STATUS["not_blessed"])
    Console(soft_wrap=True, highlight=False).print(Text(str(destination)))


def find_source(config: PipelineConfig) -> Source:
    """Finds the last pushed model, and in ML Metadata what it was made from.

    Raises:
      InputError: there is no pushed model, or something of it is gone.
    """
    saved_model = find_model(config.serving_dir)
    run = Runs(config.output_root).in_service
    if run is None:
        raise InputError(
            f"{config.metadata_store} knows no run that pushed {saved_model}; name the output"
            " folder of that run with --output-root."
        )
    outputs = run.outputs
    model_run = outputs["Trainer", "model_run"].folder
    examples = outputs["TrancheExampleGen", "examples"].folder
    statistics = outputs["StatisticsGen", "statistics"]
    keras_model, history = model_run / "model.keras", model_run / "history.json"
    splits = [examples / f"Split-{split}" for split in (features.TRAIN, features.TEST)]
    for path in (keras_model, history, *splits, statistics.folder):
        if not path.exists():
            raise InputError(
                f"{path} is gone, and model {saved_model.name} cannot be exported without it;"
                " put it back, or train again with `lookdeep run`."
            )
    settings = json.loads(history.read_text(encoding="utf-8"))["settings"]
    return Source(
        saved_model=saved_model,
        keras_model=keras_model,
        examples=examples,
        train_images=run.splits[features.TRAIN],
        size=settings["image_size"],
        fit=settings["fit"],
    )


def _convert(source: Source) -> tuple[list[Model], list[str]]:
    """Converts and checks; returns all models, and why they may not be used."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it at import
    import keras
    import numpy as np
    import tensorflow as tf

    from components.serving.tflite import check, convert, fitted_pictures
    from components.training.network import for_answers

    cores = len(os.sched_getaffinity(0))
    keras_model = keras.models.load_model(source.keras_model, compile=False)
    train = fitted_pictures.stored(source.examples, features.TRAIN)
    chosen = fitted_pictures.evenly(train, source.train_images, CALIBRATION_PICTURES)
    calibration = fitted_pictures.fitted(chosen, source.size, source.fit)
    contents = {
        "float16": convert.float16(keras_model),
        "int8": convert.int8(keras_model, calibration.as_numpy_iterator),
    }
    scores = check.scores(
        source.saved_model,
        {name: check.Device(content, cores) for name, content in contents.items()},
        fitted_pictures.stored(source.examples, features.TEST),
        source.size,
        source.fit,
    )
    if not scores:
        raise InputError(
            f"The test split in {source.examples} has no picture to check the models with;"
            " train on more clips."
        )
    picture = np.full((source.size, source.size, 3), 127, np.uint8)
    # The network of the SavedModel, as TensorFlow runs it.
    network = for_answers(keras_model)
    batch = tf.constant(picture[np.newaxis], tf.float32)
    saved = [path for path in source.saved_model.rglob("*") if path.is_file()]
    models = [
        Model(
            check.SAVED_MODEL,
            sum(path.stat().st_size for path in saved),
            scores[check.SAVED_MODEL],
            {cores: check.latency(lambda: network(batch).numpy())},
        )
    ]
    for name, content in contents.items():
        speed = {}
        for threads in sorted({1, cores}):
            ask = functools.partial(check.Device(content, threads), picture)
            speed[threads] = check.latency(ask)
        models.append(Model(name, len(content), scores[name], speed, content))
    return models, [
        f"The {model.name} model decides as the SavedModel on {model.score.agreed} of"
        f" {model.score.images} test pictures ({model.score.agreement:.1%}), which is less than"
        f" {AGREEMENT[model.name]:.0%}"
        for model in models
        if model.name in AGREEMENT and model.score.agreement < AGREEMENT[model.name]
    ]


def write(destination: Path, source: Source, models: list[Model]) -> None:
    """Writes the TFLite models and their description, all or nothing.

    Args:
      destination: a folder that is empty or not there.
      source: what they were made from.
      models: those without `content` are left out.

    Raises:
      InputError: the folder cannot be written.
    """
    description: dict[str, Any] = {
        "source_version": source.saved_model.name,
        "labels": list(features.POSTURES),
        "input": {
            "dtype": "uint8",
            "shape": [1, source.size, source.size, 3],
            "channels": "RGB",
            "fit": source.fit,
        },
        "output": {"dtype": "float32", "shape": [1, len(features.POSTURES)]},
        "calibration_pictures": min(CALIBRATION_PICTURES, source.train_images),
        "test_pictures": models[0].score.images,
        "models": {},
    }
    # The folder's own file system, so that the renaming at the end is one step.
    existing = next(folder for folder in destination.parents if folder.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=existing, prefix=".export-") as scratch:
            staged = Path(scratch) / "models"
            staged.mkdir()
            for model in models:
                if not model.content:
                    continue
                file = staged / f"posture_{model.name}.tflite"
                file.write_bytes(model.content)
                description["models"][file.name] = {
                    "sha256": hashlib.sha256(model.content).hexdigest(),
                    "agreement": model.score.agreement,
                    "accuracy": model.score.accuracy,
                }
            text = json.dumps(description, indent=2) + "\n"
            (staged / DESCRIPTION).write_text(text, encoding="utf-8")
            destination.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(destination)
    except OSError as error:
        raise InputError(
            f"The folder {destination} cannot be written: {error.strerror}."
        ) from error


@contextmanager
def native_output_to(log: Path) -> Iterator[None]:
    """Sends what C++ prints to stderr to a file; TensorFlow Lite has no setting for it.

    Args:
      log: made anew.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    former = os.dup(2)
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(former, 2)
        os.close(former)


def _table(models: list[Model]) -> Table:
    threads = sorted({count for model in models for count in model.latency})
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("Model")
    table.add_column("MB", justify="right")
    for count in threads:
        plural = "s" if count > 1 else ""
        table.add_column(f"ms, {count} thread{plural}\np50 / p99", justify="right")
    table.add_column("Decides alike", justify="right")
    table.add_column("Accuracy", justify="right")
    for model in models:
        speeds = (model.latency.get(count) for count in threads)
        table.add_row(
            model.name,
            f"{model.size / 1e6:.1f}",
            *(f"{speed.p50:.1f} / {speed.p99:.1f}" if speed else "" for speed in speeds),
            f"{model.score.agreement:.1%}" if model.content else "",
            f"{model.score.accuracy:.3f}",
        )
    table.caption = f"{models[0].score.images:,} test pictures; the time of the network alone"
    return table
