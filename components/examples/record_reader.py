"""Reads TFRecords, and has tf.data end when the last of them is read.

Unless it is switched off, every iterator of TensorFlow 2.16 has an autotuner, which sleeps
between its looks, each time twice as long, up to a minute. An iterator that ends tells it to
stop, but it may look whether it is stopped a moment before that is true, and sleeps on
(`Model::OptimizeLoop` asks `IsCancelled`, which `CancellationManager::StartCancel` sets only
after it has woken it). The loop over a dataset then ends up to twice as late as its last
element came.
"""

from collections.abc import Sequence

import tensorflow as tf


def without_autotuner(data: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset without tf.data's autotuner, also in what is made of it.

    `num_parallel_calls=tf.data.AUTOTUNE` then means one call for each thread of the machine.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def read(files: Sequence[str]) -> tf.data.Dataset:
    """Streams gzipped TFRecords.

    Args:
      files: their paths.

    Returns:
      The records, string scalars, one file after the other; without the autotuner.
    """
    return without_autotuner(tf.data.TFRecordDataset(files, "GZIP"))
