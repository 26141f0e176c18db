"""Computes the frozen layers' output once for each view of each picture.

The layers below those that are trained give the same output in every epoch, every
run and every fold of a cross-validation. It is computed for a few views of each
picture and stored as float16.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from components.code_digest import code_digest
from components.training import network
from components.training.feature_store import FeatureStore
from components.training.training_data import Features, Pictures, decode, read_split, view_of

# Pictures in one pass through the frozen layers: about 500 MB at 320 px.
BATCH_SIZE: Final = 16
# Unused caches to keep. A training uses two, and the one before it used two more.
OTHERS_KEPT: Final = 3


class FreshFeatures:
    """A split as features that are computed each time it is read.

    Args:
      pictures: the split.
      posture_model: from `components.training.network.build_model`.
      end: the layer whose output the features are, from `components.training.network.frozen_end`.
    """

    def __init__(self, pictures: Pictures, posture_model: keras.Model, end: str) -> None:
        self._pictures, self.end = pictures, end
        self.labels, self.clips = pictures.labels, pictures.clips
        self._frozen = network.for_answers(network.up_to(posture_model, [end]))

    def batches(self, chosen: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Batches of (float32 [batch, *shape of the layer's output], int64 [batch])."""
        return self._pictures.batches(chosen, batch_size).map(
            lambda inputs, labels: (self._frozen(inputs)[self.end], labels)
        )


@dataclass(frozen=True)
class FeatureCache:
    """A cache of features on disk.

    Attributes:
      root: folder of all caches; the least recently used ones are removed.
      posture_model: from `components.training.network.build_model`, not trained yet.
      ends: the layers whose output is stored, from `components.training.network.frozen_end`.
      views: number of views of each picture; view 0 is the picture itself.
      strength: of the augmentation of the others.
    """

    root: Path
    posture_model: keras.Model
    ends: Sequence[str]
    views: int
    strength: float

    def __post_init__(self) -> None:
        """Creates the folder of this cache and removes old ones."""
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        # This one is left out of the sorting: after a clock is set back it may be the oldest.
        others = [path for path in self.root.iterdir() if path != folder]
        for abandoned in sorted(others, key=lambda path: path.stat().st_mtime)[:-OTHERS_KEPT]:
            shutil.rmtree(abandoned)

    @property
    def size(self) -> int:
        """Side of the pictures, pixels."""
        return int(self.posture_model.input_shape[1])

    @property
    def folder(self) -> Path:
        """One folder for each combination of weights, size, views and augmentation code."""
        base = self.posture_model.get_layer(network.BASE)
        weights = hashlib.sha256()
        for variable in base.weights:
            weights.update(np.asarray(variable).tobytes())
        identity = [
            weights.hexdigest(),
            self.size,
            self.views,
            self.strength,
            code_digest(__name__),
        ]
        return self.root / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]

    def features(
        self, files: Sequence[str], report: Callable[[int, int], None]
    ) -> dict[str, Features]:
        """Computes the features of a split that are not stored yet.

        Args:
          files: gzipped TFRecords of transformed examples.
          report: is told how many of the missing pictures are done, and how many there are.

        Returns:
          The split as features, by layer.
        """
        shapes = {
            end: self.posture_model.get_layer(end).output.shape[1:]
            if end == network.POOL
            else self.posture_model.get_layer(network.BASE).get_layer(end).output.shape[1:]
            for end in self.ends
        }
        stores = {
            end: FeatureStore(self.folder / end, self.views, shapes[end]) for end in self.ends
        }
        keys: list[bytes] = []
        labels: list[int] = []
        clips: list[bytes] = []
        missing: dict[bytes, int] = {}
        for index, (png, label, clip) in enumerate(read_split(files).as_numpy_iterator()):
            key = hashlib.sha256(png).digest()
            keys.append(key)
            labels.append(label)
            clips.append(clip)
            if any(key not in store for store in stores.values()):
                missing.setdefault(key, index)
        self._fill(stores, files, missing, report)
        columns = np.array(labels, np.int64), np.array(clips, np.bytes_)
        return {
            end: Features(store, store.positions(keys), *columns, end, shapes[end])
            for end, store in stores.items()
        }

    def _fill(
        self,
        stores: dict[str, FeatureStore],
        files: Sequence[str],
        missing: dict[bytes, int],
        report: Callable[[int, int], None],
    ) -> None:
        """Computes the features of the pictures at the indices in `missing`."""
        if not missing:
            return
        wanted = np.zeros(max(missing.values()) + 1, bool)
        wanted[list(missing.values())] = True
        is_wanted = tf.constant(wanted)
        together = max(1, BATCH_SIZE // self.views)  # pictures, with all their views
        views = tf.data.Dataset.range(self.views)
        batches = (
            read_split(files)
            .take(len(wanted))
            .enumerate()
            .filter(lambda index, _: is_wanted[index])
            .map(lambda _, example: decode(example[0], self.size))
            .flat_map(lambda image, seed: views.map(lambda view: (image, seed, view)))
            .map(
                lambda image, seed, view: view_of(image, seed, view, self.strength),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .batch(together * self.views)
            .prefetch(2)
        )
        frozen = network.for_answers(network.up_to(self.posture_model, list(stores)))
        waiting = list(missing)
        for done, pictures in enumerate(batches):
            fresh = waiting[done * together : (done + 1) * together]
            for end, output in frozen(pictures).items():
                store, rows = stores[end], output.numpy()
                rows = rows.reshape(len(fresh), self.views, *rows.shape[1:])
                new = [position for position, key in enumerate(fresh) if key not in store]
                if new:
                    store.append([fresh[position] for position in new], rows[new])
            report(min((done + 1) * together, len(waiting)), len(waiting))
