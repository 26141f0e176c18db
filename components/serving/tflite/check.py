"""Whether a TFLite model decides as the SavedModel does, and how fast it is.

A decision is what a user sees: a posture, or that the model is unsure.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.examples import preprocessing
from components.serving.tflite import fitted_pictures
from components.serving.tflite.convert import Picture
from components.training.model_run import ModelRun
from schema import features

Probabilities = npt.NDArray[np.float32]

BATCH_SIZE: Final = 32  # pictures that go through the SavedModel at once
SAVED_MODEL: Final = "SavedModel"
UNSURE: Final = -1  # the decision beside the indices of the postures
WARM_UP: Final = 10  # calls that are not timed
CALLS: Final = 200  # enough for a 99th percentile


class Device:
    """Runs a TFLite model as a device does, one picture at a time.

    Args:
      content: from `components.serving.tflite.convert`.
      threads: of the interpreter.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()

    def __call__(self, picture: Picture) -> Probabilities:
        """Answers a picture.

        Args:
          picture: uint8 [size, size, 3].

        Returns:
          float32 [classes].
        """
        self._interpreter.set_tensor(self._input["index"], picture[np.newaxis])
        self._interpreter.invoke()
        probabilities: Probabilities = self._interpreter.get_tensor(self._output["index"])[0]
        return probabilities


@dataclass(frozen=True)
class Score:
    """A model's results on a split.

    Attributes:
      images: how many it was asked about.
      agreed: on how many of them it decided as the SavedModel: both named the same posture, or
        both were unsure.
      right: on how many of them its most probable posture is the label, sure or not.
    """

    images: int
    agreed: int
    right: int

    @property
    def agreement(self) -> float:
        """Share of decisions that are the SavedModel's."""
        return self.agreed / self.images

    @property
    def accuracy(self) -> float:
        """Share of the most probable postures that are right."""
        return self.right / self.images


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time of a call, milliseconds."""

    p50: float
    p99: float


def decisions(probabilities: Probabilities, unsure: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The index of the posture that is named, or `UNSURE`; [images]."""
    return np.where(unsure, UNSURE, probabilities.argmax(axis=1))


def scores(
    saved_model: Path,
    devices: Mapping[str, Device],
    records: tf.data.Dataset,
    trained: ModelRun,
) -> dict[str, Score]:
    """Asks all models about the same pictures, in one streamed pass.

    Args:
      saved_model: folder with the signature `serving_examples`.
      devices: TFLite models by name.
      records: serialized raw tf.Examples with a known posture.
      trained: the network that all of them were made from.

    Returns:
      A score for `SAVED_MODEL` and for each of `devices`; empty if there is no record.
    """
    with chdir(saved_model):  # TensorFlow would take a `[` in its path for a pattern
        loaded = tf.saved_model.load(".")
    ask = loaded.signatures["serving_examples"]
    postures = {features.POSTURE: tf.io.FixedLenFeature([], tf.string)}
    counts = {name: np.zeros(3, int) for name in (SAVED_MODEL, *devices)}
    pictures = fitted_pictures.fitted(records, trained.image_size, trained.fit)
    batches = tf.data.Dataset.zip((records, pictures)).batch(BATCH_SIZE).prefetch(1)
    for examples, fitted in batches:
        labels = preprocessing.label_of(
            tf.io.parse_example(examples, postures)[features.POSTURE]
        ).numpy()
        answer = ask(examples=examples)
        served = answer["probabilities"].numpy()
        expected = decisions(served, answer[features.UNSURE].numpy())
        decided = {SAVED_MODEL: (served, expected)}
        for name, device in devices.items():
            found = np.stack([device(picture) for picture in fitted.numpy()])
            decided[name] = found, decisions(found, trained.unsure(found))
        for name, (probabilities, decision) in decided.items():
            agreed = (decision == expected).sum()
            right = (probabilities.argmax(axis=1) == labels).sum()
            counts[name] += (len(labels), agreed, right)
    return {name: Score(*map(int, count)) for name, count in counts.items() if count[0]}


def latency(call: Callable[[], Any]) -> Latency:
    """Times `CALLS` calls after a warm-up."""
    seconds = []
    for _ in range(WARM_UP + CALLS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.percentile(seconds[WARM_UP:], (50, 99)) * 1000
    return Latency(float(p50), float(p99))
