"""Whether a TFLite model decides as the SavedModel does, and how fast it is."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.examples import preprocessing
from components.serving.tflite import fitted_pictures
from components.serving.tflite.convert import Picture
from schema import features

Probabilities = npt.NDArray[np.float32]

BATCH_SIZE: Final = 32  # pictures that go through the SavedModel at once
SAVED_MODEL: Final = "SavedModel"
WARM_UP: Final = 10  # calls before the clock runs
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
        """Answers for a picture.

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
    """How a model did on a split.

    Attributes:
      images: how many it was asked about.
      agreed: how many of them it decided as the SavedModel.
      right: how many of them it decided as the label says.
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
        """Share of decisions that are right."""
        return self.right / self.images


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time of a call, milliseconds."""

    p50: float
    p99: float


def scores(
    saved_model: Path,
    devices: Mapping[str, Device],
    records: tf.data.Dataset,
    size: int,
    fit: str,
) -> dict[str, Score]:
    """Asks all models about the same pictures, in one streamed pass.

    Args:
      saved_model: folder with the signature `serving_examples`.
      devices: TFLite models by name.
      records: serialized raw tf.Examples with a known posture.
      size: side of the models' square, pixels.
      fit: see `preprocessing.fit_image`.

    Returns:
      A score for `SAVED_MODEL` and for each of `devices`; empty if there is no record.
    """
    loaded = tf.saved_model.load(str(saved_model))
    ask = loaded.signatures["serving_examples"]
    postures = {features.POSTURE: tf.io.FixedLenFeature([], tf.string)}
    counts = {name: np.zeros(3, int) for name in (SAVED_MODEL, *devices)}
    batches = tf.data.Dataset.zip((records, fitted_pictures.fitted(records, size, fit)))
    for examples, fitted in batches.batch(BATCH_SIZE).prefetch(1):
        labels = preprocessing.label_of(
            tf.io.parse_example(examples, postures)[features.POSTURE]
        ).numpy()
        expected = ask(examples=examples)["probabilities"].numpy().argmax(axis=1)
        decisions = {SAVED_MODEL: expected} | {
            name: np.array([device(picture).argmax() for picture in fitted.numpy()])
            for name, device in devices.items()
        }
        for name, decided in decisions.items():
            agreed, right = (decided == expected).sum(), (decided == labels).sum()
            counts[name] += (len(decided), agreed, right)
    return {name: Score(*map(int, count)) for name, count in counts.items() if count[0]}


def latency(call: Callable[[], Any]) -> Latency:
    """Times a call, `CALLS` times after a warm-up."""
    seconds = []
    for _ in range(WARM_UP + CALLS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.percentile(seconds[WARM_UP:], (50, 99)) * 1000
    return Latency(float(p50), float(p99))
