"""Reads TFRecords without tf.data's autotuner, which can delay the end of a loop.

In TensorFlow 2.16 every iterator has an autotuner thread, which sleeps between its steps, each
time twice as long, up to a minute. An iterator that ends wakes it and waits for it. There is a
race: the thread may check `IsCancelled` (`Model::OptimizeLoop`) just before
`CancellationManager::StartCancel` sets it, and go back to sleep. The loop over a dataset then
takes up to twice as long as its elements did.
"""

from collections.abc import Sequence

import tensorflow as tf


def without_autotuner(data: tf.data.Dataset) -> tf.data.Dataset:
    """Switches tf.data's autotuner off for a dataset and all that is derived from it.

    `num_parallel_calls=tf.data.AUTOTUNE` then means one call for each core.
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
