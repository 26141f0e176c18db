"""Writes small splits of images as the ExampleGen leaves them."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import tensorflow as tf
from PIL import Image

from schema import features


def write_split(
    folder: Path, table: pd.DataFrame, shades: Sequence[int], width: int = 256, height: int = 144
) -> None:
    """Writes evenly grey images into two files.

    Args:
      folder: of the split.
      table: a row an image, with tranche and file name.
      shades: the grey of each image, 0 to 255.
      width: of the images, pixels.
      height: the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    writers = [
        tf.io.TFRecordWriter(str(folder / f"data_tfrecord-0000{n}-of-00002.gz"), options)
        for n in range(2)
    ]
    for position, row in enumerate(table.to_dict("records")):
        encoded = io.BytesIO()
        Image.new("L", (width, height), shades[position]).convert("RGB").save(encoded, "JPEG")
        cells = {name: row[name].encode() for name in (features.TRANCHE, features.FILE_NAME)}
        cells[features.IMAGE] = encoded.getvalue()
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for name, value in cells.items()
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        writers[position % 2].write(example.SerializeToString())
    for writer in writers:
        writer.close()
