"""The images of a cross-validation, and how they are split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.model_selection import StratifiedGroupKFold

from components.errors import InputError
from components.examples import preprocessing, record_reader
from schema import features


@dataclass(frozen=True)
class Pool:
    """All selected images, in a fixed order.

    Attributes:
      files: TFRecords of pictures, labels and clips, as Transform writes them.
      labels: int64 [images].
      clips: the clip of each, str [images].
      tranches: the tranche of each, str [images].
    """

    files: list[str]
    labels: npt.NDArray[np.int64]
    clips: npt.NDArray[np.str_]
    tranches: npt.NDArray[np.str_]


def read_pool(
    shards: list[str],
    selection: str,
    size: int,
    fit: str,
    folder: Path,
    is_left_out: Callable[[str], bool],
) -> Pool:
    """Decodes and resizes the selected images of ingestion's TFRecords, as Transform does.

    Args:
      shards: gzipped TFRecords of all tranches.
      selection: `labelled` or `single_person`.
      size: side of the pictures, pixels.
      fit: how they are resized (`preprocessing.fit_image`).
      folder: for the file of decoded images.
      is_left_out: whether to leave out the images of a clip.
    """
    columns = (
        *(features.IMAGE, features.POSTURE, features.HOW_MANY, features.OCCLUDED),
        *(features.CLIP, features.TRANCHE),
    )
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in columns}

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = tf.io.parse_single_example(record, spec)
        png = preprocessing.compact(example.pop(features.IMAGE), size, fit)
        label = preprocessing.label_of(example[features.POSTURE])
        return {**example, features.IMAGE: png, features.LABEL: label}

    labels, clips, tranches = [], [], []
    path = folder / "pictures.tfrecord.gz"
    rows = record_reader.read(shards).map(
        parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows.as_numpy_iterator():
            posture, how_many, occluded, clip, tranche = (
                row[name].decode() for name in columns[1:]
            )
            selected = features.is_selected(selection, posture, how_many, occluded)
            if not selected or is_left_out(clip):
                continue
            example = tf.train.Example()
            example.features.feature[features.IMAGE].bytes_list.value.append(row[features.IMAGE])
            example.features.feature[features.LABEL].int64_list.value.append(row[features.LABEL])
            example.features.feature[features.CLIP].bytes_list.value.append(row[features.CLIP])
            writer.write(example.SerializeToString())
            labels.append(row[features.LABEL])
            clips.append(clip)
            tranches.append(tranche)
    return Pool([str(path)], np.array(labels, np.int64), np.array(clips), np.array(tranches))


@dataclass(frozen=True)
class Split:
    """The images of one training, and those held out.

    Attributes:
      name: the way of holding out: `clips` or `tranche N`.
      train: indices into the pool, int64.
      held_out: the same.
    """

    name: str
    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def clip_folds(pool: Pool, folds: int, seed: int) -> list[Split]:
    """Folds of whole clips, with similar shares of postures.

    Raises:
      InputError: there are not enough clips.
    """
    clips = len(set(pool.clips.tolist()))
    if clips < folds or np.bincount(pool.labels).max() < folds:
        raise InputError(f"{clips:,} clips are too few for {folds} folds; give fewer --folds.")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [
        Split("clips", train, held_out)
        for train, held_out in splitter.split(pool.labels, pool.labels, pool.clips)
    ]


def tranche_folds(pool: Pool) -> list[Split]:
    """Holds out one tranche at a time, if there is another to train on."""
    tranches = sorted(set(pool.tranches.tolist()), key=features.tranche_order)
    return [
        Split(
            f"tranche {tranche}",
            np.flatnonzero(pool.tranches != tranche),
            np.flatnonzero(pool.tranches == tranche),
        )
        for tranche in tranches
        if len(tranches) > 1
    ]
