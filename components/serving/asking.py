"""Asks a SavedModel about picture files, as a client of the service would.

Imports TensorFlow only once a model is loaded: commands report mistakes at once.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components import processes
from components.errors import InputError
from components.serving.versions import versions
from components.training.model_run import postures_of
from schema import features

BATCH_SIZE: Final = 16  # pictures in memory at once

# Larger pictures are scaled down to this side, pixels, before they are sent. The model scales
# them to its own ingestion size, which is not larger (`PipelineConfig.ingest_size`).
MAX_SIDE: Final = 4096

_INPUT: Final = "image_bytes"
_OUTPUTS: Final = ("label", "confidence", "probabilities", features.UNSURE, features.REFUSED)
# Models that were exported before answers said who gave them lack these outputs.
_ABSENT: Final[dict[str, Any]] = {features.MODEL: b"unknown", features.THRESHOLD: math.inf}


@dataclass(frozen=True)
class Prediction:
    """The model's answer for one picture.

    Attributes:
      image: its path as it was given.
      label: the most probable posture.
      confidence: its probability.
      probabilities: of each posture that the model knows.
      unsure: whether the confidence is below the model's threshold.
      model: who answers: RUN/VERSION, `not pushed` or, of models that do not say, `unknown`.
      threshold: the least confidence of a sure answer; None if no answer is sure, or the model
        does not say.
    """

    image: str
    label: str
    confidence: float
    probabilities: dict[str, float]
    unsure: bool
    model: str
    threshold: float | None


@dataclass(frozen=True)
class Unreadable:
    """A file that is no usable picture, and why."""

    image: str
    reason: str


def find_model(folder: Path) -> Path:
    """Finds a SavedModel.

    Args:
      folder: a SavedModel, or a folder of numbered versions as the Pusher writes them.

    Returns:
      The folder itself, or that of the highest version.

    Raises:
      InputError: there is none, or it is not whole.
    """
    if (folder / "saved_model.pb").is_file():
        return folder
    *_, last = (None, *versions(folder))
    if last is None:
        raise InputError(
            f"There is no model in {folder}; push one with the command run, or name another folder."
        )
    if last.damage:
        raise InputError(
            f"No server can load the version {last.folder}: {last.damage}; remove it, and push"
            " the model again with the command run."
        )
    return last.folder


def answers(folder: Path, images: Sequence[Path]) -> Iterator[Prediction | Unreadable]:
    """Sends pictures to a model's `serving_default`.

    Pillow opens them first, in a separate process, as in ingestion: it applies EXIF
    orientation and reads more formats than TensorFlow. They are sent as PNG, which keeps
    every pixel.

    Args:
      folder: a SavedModel of this pipeline.
      images: paths.

    Yields:
      An answer for each picture, in order.

    Raises:
      InputError: the model cannot be loaded, or has not the signature of this pipeline.
    """
    serve = _load(folder)
    postures = postures_of(serve.model)
    import tensorflow as tf

    from components.ingest.converter import Converter
    from components.ingest.images import ImageRejected

    with Converter() as converter:
        for start in range(0, len(images), BATCH_SIZE):
            readable: list[bytes] = []
            batch: list[Path | Unreadable] = []
            for path in images[start : start + BATCH_SIZE]:
                try:
                    readable.append(converter.png(path, MAX_SIDE))
                    batch.append(path)
                except ImageRejected as error:
                    batch.append(Unreadable(str(path), str(error)))
            rows = _rows(serve(**{_INPUT: tf.constant(readable, tf.string)}))
            for entry in batch:
                if isinstance(entry, Path):
                    yield _answer(str(entry), next(rows), postures)
                else:
                    yield entry


def _load(folder: Path) -> Any:
    """Loads `serving_default`.

    Raises:
      InputError: see `answers`.
    """
    processes.hush_libraries()
    import tensorflow as tf

    try:
        with chdir(folder):  # TensorFlow would take a `[` in its path for a pattern
            model = tf.saved_model.load(".")
    except Exception as error:  # TensorFlow raises whatever a damaged file leads it to
        words = str(error).strip().partition("\n")[0].removesuffix(".")
        raise InputError(f"The model {folder} cannot be loaded: {words}.") from error
    serve = model.signatures.get("serving_default")
    if (
        serve is None
        or _INPUT not in serve.structured_input_signature[1]
        or not serve.structured_outputs.keys() >= set(_OUTPUTS)
    ):
        raise InputError(
            f"The model {folder} does not take encoded pictures as this pipeline's models do;"
            " name one that the command run has pushed."
        )
    serve.model = model  # a signature dies with its model
    return serve


def _rows(outputs: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """One tuple for each picture, in the order of `_OUTPUTS` and `_ABSENT`."""
    columns = [outputs[name].numpy() for name in _OUTPUTS]
    for name, unknown in _ABSENT.items():
        told = outputs.get(name)
        columns.append([unknown] * len(columns[0]) if told is None else told.numpy())
    return zip(*columns, strict=True)


def _answer(image: str, row: tuple[Any, ...], postures: Sequence[str]) -> Prediction | Unreadable:
    label, confidence, shares, unsure, refused, model, threshold = row
    if refused:
        return Unreadable(image, "the model could not read it")
    return Prediction(
        image=image,
        label=label.decode(),
        confidence=float(confidence),
        probabilities=dict(zip(postures, map(float, shares), strict=True)),
        unsure=bool(unsure),
        model=model.decode(),
        threshold=float(threshold) if math.isfinite(threshold) else None,
    )
