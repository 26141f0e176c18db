"""Makes the two TFLite models of a pushed model, checks them against it, and writes them."""

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components import files
from components.errors import InputError
from components.training.model_run import ModelRun
from schema import features

if TYPE_CHECKING:  # the others import TensorFlow, which `make` does once there is work
    from components.serving.tflite.check import Latency, Score

# Representative pictures for the ranges of the int8 model's activations.
CALIBRATION_PICTURES: Final = 200

# The least share of the test pictures that each model has to decide as the SavedModel does.
AGREEMENT: Final = {"float16": 0.99, "int8": 0.98}

DESCRIPTION: Final = "model.json"


@dataclass(frozen=True)
class PushedModel:
    """What a pushed model was made from.

    Attributes:
      saved_model: its folder, named by its version.
      model: what its answers are signed with, RUN/VERSION.
      trained: the network that was exported to it.
      examples: folder of the raw examples that it was trained and judged on.
      train_images: how many of them are in the train split.
    """

    saved_model: Path
    model: str
    trained: ModelRun
    examples: Path
    train_images: int


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


def make(source: PushedModel, log: Path) -> list[Model]:
    """Converts a model and measures the results on the test split.

    Args:
      source: of the model.
      log: a new file for what TensorFlow's C++ prints.

    Returns:
      The SavedModel, then the TFLite models.

    Raises:
      InputError: there is no test picture, or the log cannot be written.
    """
    with _native_output_to(log):
        return _make(source)


def _make(source: PushedModel) -> list[Model]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it at import
    import numpy as np
    import tensorflow as tf

    from components.serving.tflite import check, convert, fitted_pictures
    from components.training import network

    trained = source.trained
    cores = len(os.sched_getaffinity(0))
    keras_model = network.load(trained.keras_model)
    train = fitted_pictures.stored(source.examples, features.TRAIN)
    chosen = fitted_pictures.evenly(train, source.train_images, CALIBRATION_PICTURES)
    calibration = fitted_pictures.fitted(chosen, trained.image_size, trained.fit)
    contents = {
        "float16": convert.float16(keras_model),
        "int8": convert.int8(keras_model, calibration.as_numpy_iterator),
    }
    scores = check.scores(
        source.saved_model,
        {name: check.Device(content, cores) for name, content in contents.items()},
        fitted_pictures.stored(source.examples, features.TEST),
        trained,
    )
    if not scores:
        raise InputError(
            f"The test split in {source.examples} has no picture to check the models with;"
            " train on more clips."
        )
    picture = np.full((trained.image_size, trained.image_size, 3), 127, np.uint8)
    # The network of the SavedModel, as TensorFlow runs it.
    answer = network.for_answers(keras_model)
    batch = tf.constant(picture[np.newaxis], tf.float32)
    saved = [path for path in source.saved_model.rglob("*") if path.is_file()]
    models = [
        Model(
            check.SAVED_MODEL,
            sum(path.stat().st_size for path in saved),
            scores[check.SAVED_MODEL],
            {cores: check.latency(lambda: answer(batch).numpy())},
        )
    ]
    for name, content in contents.items():
        speed = {}
        for threads in sorted({1, cores}):
            ask = functools.partial(check.Device(content, threads), picture)
            speed[threads] = check.latency(ask)
        models.append(Model(name, len(content), scores[name], speed, content))
    return models


def refusals(models: Sequence[Model]) -> list[str]:
    """Says which of the models decide otherwise than the SavedModel too often, and how often."""
    return [
        f"The {model.name} model decides as the SavedModel on {model.score.agreed} of"
        f" {model.score.images} test pictures ({model.score.agreement:.1%}), which is less than"
        f" {AGREEMENT[model.name]:.0%}"
        for model in models
        if model.name in AGREEMENT and model.score.agreement < AGREEMENT[model.name]
    ]


def write(destination: Path, source: PushedModel, models: Sequence[Model]) -> None:
    """Writes the TFLite models and their description, all or nothing.

    Args:
      destination: a folder that is empty or not there.
      source: what they were made from.
      models: those without `content` are left out.

    Raises:
      InputError: the folder cannot be written.
    """
    trained = source.trained
    description: dict[str, Any] = {
        "model": source.model,
        "labels": list(trained.postures),
        "input": {
            "dtype": "uint8",
            "shape": [1, trained.image_size, trained.image_size, 3],
            "channels": "RGB",
            "fit": trained.fit,
        },
        "output": {"dtype": "float32", "shape": [1, len(trained.postures)]},
        # Least probability of a sure answer; null if no answer is sure.
        "threshold": trained.threshold,
        "calibration_pictures": min(CALIBRATION_PICTURES, source.train_images),
        "test_pictures": models[0].score.images,
        "models": {},
    }
    try:
        incoming = files.begin(destination.parent)
        for model in models:
            if not model.content:
                continue
            file = incoming / f"posture_{model.name}.tflite"
            file.write_bytes(model.content)
            description["models"][file.name] = {
                "sha256": hashlib.sha256(model.content).hexdigest(),
                "agreement": model.score.agreement,
                "accuracy": model.score.accuracy,
            }
        text = json.dumps(description, indent=2) + "\n"
        (incoming / DESCRIPTION).write_text(text, encoding="utf-8")
        files.publish(incoming, destination)
    except OSError as error:
        raise InputError(
            f"The folder {destination} cannot be written: {error.strerror}."
        ) from error


@contextmanager
def _native_output_to(log: Path) -> Iterator[None]:
    """Redirects stderr to a new file, what C++ prints included: TFLite has no setting for it."""
    former = os.dup(2)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            os.dup2(file.fileno(), 2)
    except OSError as error:
        os.close(former)
        raise InputError(f"The log {log} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        os.dup2(former, 2)
        os.close(former)
