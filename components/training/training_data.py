"""Batches of a split, as pictures or as features of them.

Order and views are drawn as numbers before anything is read. So an epoch is shuffled over the
whole split, memory holds only a few numbers per example, and pictures and stored features are
trained on in the same order with the same views.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import tensorflow as tf

from components.examples import record_reader
from components.training import augmentation
from components.training.feature_store import FeatureStore
from schema import features

CLASSES: Final = len(features.POSTURES)
# Unstored views are unlimited.
UNLIMITED: Final = 2**31


class Examples(Protocol):
    """A split, or a part of it, with random access."""

    @property
    def labels(self) -> np.ndarray:
        """The classes, int64 [examples]."""

    @property
    def clips(self) -> np.ndarray:
        """The clip of each, bytes [examples]."""

    @property
    def end(self) -> str | None:
        """The layer whose output the inputs are; None if they are pictures."""

    def batches(self, chosen: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Turns (example, view), two int64 scalars, into batches of (inputs, labels)."""


def read_split(files: Sequence[str]) -> tf.data.Dataset:
    """Streams a transformed split.

    Args:
      files: gzipped TFRecords of transformed examples.

    Returns:
      (PNG, label, clip) of each example in order: string, int64 and string scalars.
    """
    spec = {
        features.IMAGE: tf.io.FixedLenFeature([], tf.string),
        features.LABEL: tf.io.FixedLenFeature([], tf.int64),
        features.CLIP: tf.io.FixedLenFeature([], tf.string),
    }

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, spec)
        return example[features.IMAGE], example[features.LABEL], example[features.CLIP]

    return record_reader.read(files).map(parse)


def decode(png: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a picture as Transform stores it.

    Args:
      png: string scalar.
      size: side of the picture, pixels.

    Returns:
      uint8 [size, size, 3], and the seed of its views, int64 scalar.
    """
    image = tf.ensure_shape(tf.io.decode_png(png, channels=3), [size, size, 3])
    return image, tf.strings.to_hash_bucket_fast(png, 2**62)


def view_of(image: tf.Tensor, seed: tf.Tensor, view: tf.Tensor, strength: float) -> tf.Tensor:
    """One view of a picture: view 0 is the picture itself, all others are augmented.

    Args:
      image: uint8 [size, size, 3].
      seed: int64 scalar, from `decode`.
      view: int64 scalar; the same number always gives the same view.
      strength: of the augmentation.

    Returns:
      float32 [size, size, 3] in 0..255.
    """
    return tf.cond(
        view > 0,
        lambda: augmentation.augment(image, tf.stack([seed, view]), strength),
        lambda: tf.cast(image, tf.float32),
    )


class Pictures:
    """A split as pictures, which are decoded and augmented each time they are read.

    Args:
      files: gzipped TFRecords of transformed examples.
      path: file to copy the PNGs to, for random access.
      size: side of the pictures, pixels.
      strength: of the augmentation.
    """

    end = None

    def __init__(self, files: Sequence[str], path: Path, size: int, strength: float) -> None:
        self._size, self._strength = size, strength
        lengths: list[int] = []
        labels: list[int] = []
        clips: list[bytes] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for png, label, clip in read_split(files).as_numpy_iterator():
                file.write(png)
                lengths.append(len(png))
                labels.append(label)
                clips.append(clip)
        self.labels, self.clips = np.array(labels, np.int64), np.array(clips, np.bytes_)
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._file = path.open("rb", buffering=0)

    def _png(self, example: np.int64) -> bytes:
        start = int(self._ends[example - 1]) if example else 0
        return os.pread(self._file.fileno(), int(self._ends[example]) - start, start)

    def batches(self, chosen: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Batches of (float32 [batch, size, size, 3] in 0..255, int64 [batch])."""
        labels = tf.constant(self.labels)

        def read(example: tf.Tensor, view: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            png = tf.numpy_function(self._png, [example], tf.string)
            image, seed = decode(tf.ensure_shape(png, []), self._size)
            return view_of(image, seed, view, self._strength), labels[example]

        return chosen.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(
            batch_size
        )


@dataclass(frozen=True)
class Features:
    """A split as stored features.

    Attributes:
      store: the features of all views.
      positions: int64 [examples], of the examples in the store.
      labels: int64 [examples].
      clips: bytes [examples], the clip of each.
      end: the layer whose output they are.
      shape: of the features of one view.
    """

    store: FeatureStore
    positions: np.ndarray
    labels: np.ndarray
    clips: np.ndarray
    end: str
    shape: tuple[int, ...]

    def batches(self, chosen: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Batches of (float32 [batch, *shape], int64 [batch])."""
        labels = tf.constant(self.labels)

        def read(examples: np.ndarray, views: np.ndarray) -> np.ndarray:
            return self.store.read(self.positions[examples], views)

        def load(examples: tf.Tensor, views: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = tf.numpy_function(read, [examples, views], tf.float16)
            inputs = tf.cast(tf.ensure_shape(rows, [None, *self.shape]), tf.float32)
            return inputs, tf.gather(labels, examples)

        return chosen.batch(batch_size).map(
            load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )


class Part:
    """Some of the examples of a split, for example a fold.

    Args:
      whole: the split.
      members: int64 [examples], their indices in it.
    """

    def __init__(self, whole: Examples, members: np.ndarray) -> None:
        self._whole, self._members = whole, members
        self.labels, self.clips = whole.labels[members], whole.clips[members]
        self.end = whole.end

    def batches(self, chosen: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Batches like those of the whole split."""
        members = tf.constant(self._members)
        return self._whole.batches(
            chosen.map(lambda example, view: (members[example], view)), batch_size
        )


def evaluation_data(examples: Examples, batch_size: int) -> tf.data.Dataset:
    """Streams a split in order, not augmented.

    Args:
      examples: the split.
      batch_size: examples in a batch; the last one may have fewer.

    Returns:
      Batches of (inputs, float32 [batch, classes]: 1 for the label, 0 for the others).
    """
    chosen = tf.data.Dataset.range(len(examples.labels)).map(
        lambda example: (example, tf.zeros([], tf.int64))
    )
    data = examples.batches(chosen, batch_size).map(
        lambda inputs, labels: (inputs, tf.one_hot(labels, CLASSES))
    )
    return _counted(data, examples, batch_size)


@dataclass(frozen=True)
class Sampling:
    """How the examples of an epoch are drawn.

    Attributes:
      batch_size: examples in a batch; the last one may have fewer.
      views: number of views of each picture to draw from; 1 is the picture itself.
      oversample: whether each class is drawn equally often.
      class_weights: weight in the loss by class, 1 for classes that are left out.
      mixup: parameter of the beta distribution of the shares of mixup; 0 turns it off.
      seed: of all random draws.
    """

    batch_size: int
    views: int
    oversample: bool
    class_weights: dict[int, float]
    mixup: float
    seed: int


def training_data(examples: Examples, sampling: Sampling) -> tf.data.Dataset:
    """Streams one epoch of shuffled examples, each in a random view.

    Args:
      examples: the training split.
      sampling: how its examples are drawn.

    Returns:
      Batches of (inputs, float32 [batch, classes], float32 [batch] weights), as many
      examples as `examples` has; another order and other views in each epoch.
    """
    labels, seed = examples.labels, sampling.seed
    if sampling.oversample:
        order = tf.data.Dataset.sample_from_datasets(
            [
                tf.data.Dataset.from_tensor_slices(own).shuffle(len(own), seed=seed).repeat()
                for own in (np.flatnonzero(labels == label) for label in np.unique(labels))
            ],
            seed=seed,
            rerandomize_each_iteration=True,
        ).take(len(labels))
    else:
        order = tf.data.Dataset.range(len(labels)).shuffle(len(labels), seed=seed)
    views = _draws(seed).map(lambda draw: draw % sampling.views)
    data = examples.batches(tf.data.Dataset.zip((order, views)), sampling.batch_size)
    weights = tf.constant([sampling.class_weights.get(label, 1.0) for label in range(CLASSES)])

    def targets(
        batch: tuple[tf.Tensor, tf.Tensor], draw: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        inputs, batch_labels = batch
        whole = (inputs, tf.one_hot(batch_labels, CLASSES), tf.gather(weights, batch_labels))
        if not sampling.mixup:
            return whole
        return mixup(*whole, sampling.mixup, tf.stack([draw, seed]))

    # Not the draws above: two iterators over one dataset would race for its seeds.
    data = tf.data.Dataset.zip((data, _draws(seed + 1))).map(
        targets, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return _counted(data, examples, sampling.batch_size)


def _draws(seed: int) -> tf.data.Dataset:
    """An endless stream of int64, different in each epoch."""
    return tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)


def mixup(
    inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, parameter: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mixes each example with its neighbour in the batch; its own share is at least one half.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; applied to features,
    it is manifold mixup (Verma et al., ICML 2019).

    Args:
      inputs: float32 [batch, ...].
      targets: float32 [batch, classes], each summing to 1.
      weights: float32 [batch], above 0.
      parameter: of the symmetric beta distribution that shares are drawn from, above 0.
      seed: int64 [2].

    Returns:
      Inputs, targets and weights of the same shapes. The weighted loss of a mixed example is
      the mix of the two examples' weighted losses.
    """
    count = tf.shape(inputs)[0]
    gammas = tf.random.stateless_gamma([2, count], seed, parameter)
    share = gammas[0] / (gammas[0] + gammas[1] + 1e-12)
    share = tf.maximum(share, 1 - share)

    def mix(values: tf.Tensor) -> tf.Tensor:
        own = tf.reshape(share, [count] + [1] * (len(values.shape) - 1))
        return own * values + (1 - own) * tf.roll(values, 1, axis=0)

    # Cross-entropy is linear in weight * target, so that product is mixed. It is then split
    # again: the gradient of TensorFlow's cross-entropy is right only for targets that sum to 1.
    weighted = mix(weights[:, tf.newaxis] * targets)
    mixed_weights = tf.reduce_sum(weighted, axis=1)
    return mix(inputs), weighted / mixed_weights[:, tf.newaxis], mixed_weights


def _counted(data: tf.data.Dataset, examples: Examples, batch_size: int) -> tf.data.Dataset:
    """Tells Keras the length of an epoch, and reads ahead."""
    steps = math.ceil(len(examples.labels) / batch_size)
    counted = data.apply(tf.data.experimental.assert_cardinality(steps))
    return record_reader.without_autotuner(counted.prefetch(2))
