"""Stored pictures as the input of a TFLite model: decoded and fitted."""

from pathlib import Path

import tensorflow as tf

from components.examples import preprocessing
from components.examples.record_reader import read
from schema import features


def stored(examples: Path, split: str) -> tf.data.Dataset:
    """Streams a split.

    Args:
      examples: folder of the ExampleGen's output.
      split: one of its splits.

    Returns:
      Serialized tf.Examples, string scalars, in the files' order.
    """
    files = sorted(map(str, (examples / f"Split-{split}").glob("*")))
    return read(files)


def evenly(records: tf.data.Dataset, total: int, count: int) -> tf.data.Dataset:
    """Chooses records at equal distances, the same ones each time.

    Args:
      records: a split; its tranches come one after the other.
      total: number of its records.
      count: how many to choose; all if there are fewer.

    Returns:
      The chosen ones, in their order.
    """

    def chosen(index: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return (index + 1) * count // total > index * count // total

    return records if total <= count else records.enumerate().filter(chosen).map(lambda _, r: r)


def fitted(records: tf.data.Dataset, size: int, fit: str) -> tf.data.Dataset:
    """Decodes and fits pictures as Transform does.

    Args:
      records: serialized raw tf.Examples.
      size: side of the model's square, pixels.
      fit: see `preprocessing.fit_image`.

    Returns:
      uint8 [size, size, 3] for each record.
    """
    spec = {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}

    def picture(record: tf.Tensor) -> tf.Tensor:
        encoded = tf.io.parse_single_example(record, spec)[features.IMAGE]
        return preprocessing.fit_image(preprocessing.decode_image(encoded), size, fit)

    return records.map(picture, num_parallel_calls=tf.data.AUTOTUNE)
