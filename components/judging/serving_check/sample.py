"""The pictures to check with: a few of a split, before and after Transform."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.examples import record_reader
from schema import features

IMAGES: Final = 32
# The sample is chosen from so many pictures: neighbours in a file are frames of one clip.
CANDIDATES: Final = 4 * IMAGES
OPEN_FILES: Final = 32

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """Row by row the same images.

    Attributes:
      examples: serialized tf.Examples as ExampleGen wrote them.
      jpegs: the picture in each.
      transformed: what Transform made of it, uint8 [images, size, size, 3].
    """

    examples: Sequence[bytes]
    jpegs: Sequence[bytes]
    transformed: npt.NDArray[np.uint8]


def draw(examples: Path, transformed: Path) -> Sample:
    """Chooses up to `IMAGES` pictures from all over a split.

    Args:
      examples: folder of the split's gzipped TFRecords, as ExampleGen wrote them.
      transformed: the same as Transform wrote them. Both hold the same images, not
        necessarily in the same order: they are matched by file name. Neither is read to its
        end unless its order is very different from the other's.

    Returns:
      The same images for the same files; empty if the split is.

    Raises:
      ValueError: a transformed image is not among the examples.
    """
    pictures = dict(map(_name_and_image, _evenly(_first_records(_files(transformed)))))
    found: dict[bytes, tuple[bytes, bytes]] = {}
    if pictures:
        files = _files(examples)
        # One record of each file by turns.
        records = tf.data.TFRecordDataset(files, "GZIP", num_parallel_reads=OPEN_FILES)
        for record in record_reader.without_autotuner(records).as_numpy_iterator():
            name, jpeg = _name_and_image(record)
            if name in pictures:
                found[name] = record, jpeg
                if len(found) == len(pictures):
                    break
        else:
            raise ValueError(f"{transformed} has images that are not in {examples}")
    decoded = [tf.io.decode_png(png, channels=3).numpy() for png in pictures.values()]
    return Sample(
        [found[name][0] for name in pictures],
        [found[name][1] for name in pictures],
        np.array(decoded),
    )


def _files(folder: Path) -> list[str]:
    return sorted(map(str, folder.glob("*.gz")))


def _first_records(files: list[str]) -> list[bytes]:
    """The first records of up to `IMAGES` files, about `CANDIDATES` in all."""
    chosen = _evenly(files)
    return [
        record
        for file in chosen
        for record in record_reader.read([file])
        .take(-(-CANDIDATES // len(chosen)))
        .as_numpy_iterator()
    ]


def _evenly(items: Sequence[Item]) -> list[Item]:
    """Up to `IMAGES` of the items, at equal distances."""
    count = min(IMAGES, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _name_and_image(record: bytes) -> tuple[bytes, bytes]:
    columns = tf.train.Example.FromString(record).features.feature
    name, image = (
        columns[column].bytes_list.value[0] for column in (features.FILE_NAME, features.IMAGE)
    )
    return name, image
