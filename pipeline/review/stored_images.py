"""Images of a run, read back from the TFRecords of its ExampleGen, and their thumbnails."""

import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from PIL import Image

from schema import features

THUMBNAIL_SIDE: Final = 160  # pixels
_QUALITY: Final = 70  # of JPEG

Key = tuple[str, str]  # tranche and file name


def read(split: Path, wanted: Collection[Key]) -> Iterator[tuple[Key, bytes]]:
    """Reads a split record by record, until the wanted images are found.

    Args:
      split: folder of its TFRecords.
      wanted: which images.

    Yields:
      The key of a wanted image and its JPEG, in the order of the files.
    """
    missing = set(wanted)
    if not missing:
        return
    # Imported here, because TensorFlow takes seconds.
    import tensorflow as tf

    from components.examples import parquet, record_reader

    files = sorted(map(str, split.glob("*.gz")))
    for record in record_reader.read(files).as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        tranche, name = (
            parquet.text(example, column) or features.BLANK
            for column in (features.TRANCHE, features.FILE_NAME)
        )
        if (tranche, name) in missing:
            yield (tranche, name), example.features.feature[features.IMAGE].bytes_list.value[0]
            missing.remove((tranche, name))
            if not missing:
                return


def thumbnail(jpeg: bytes) -> Image.Image:
    """An image scaled down to fit a square of `THUMBNAIL_SIDE`."""
    picture = Image.open(io.BytesIO(jpeg))
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return picture


def encode(picture: Image.Image) -> bytes:
    """JPEG bytes, small rather than sharp."""
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=_QUALITY, optimize=True)
    return encoded.getvalue()
