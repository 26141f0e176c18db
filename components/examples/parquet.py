"""The Parquet tables that components leave for the review: their columns, and how they are read.

Imports neither Beam nor TFX: the review reads them at once.
"""

from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from schema import features

SPLIT: Final = "split"

_LABELS: Final = [(name, pa.string()) for name in features.EXAMPLE_COLUMNS]

# One row an image, of all splits; see `components.examples.image_table`.
IMAGES: Final = pa.schema(
    [
        (SPLIT, pa.string()),
        *_LABELS,
        (features.WIDTH, pa.int64()),
        (features.HEIGHT, pa.int64()),
        *((name, pa.float32()) for name in features.MEASURES),
        (features.PERCEPTUAL_HASH, pa.string()),
    ]
)

# One row an image that the model was asked about; see `components.judging.predictor`.
PREDICTIONS: Final = pa.schema(
    [
        *_LABELS,
        *((name, pa.string()) for name in features.QUALITIES),
        *((name, pa.float32()) for name in features.POSTURES),  # probabilities
        (features.UNSURE, pa.bool_()),
    ]
)


def read(folder: Path) -> pd.DataFrame:
    """Reads a table.

    Args:
      folder: of the artifact.

    Returns:
      The columns of `IMAGES` or `PREDICTIONS`, in no particular order of rows; text
      as str, None where an example lacked the value.

    Raises:
      FileNotFoundError: there is no such folder.
    """
    return pd.read_parquet(folder)


def labels(example: Any) -> dict[str, str | None]:
    """Takes the label columns out of an example.

    Args:
      example: a tf.train.Example as in the TFRecords.

    Returns:
      Text by `schema.features.EXAMPLE_COLUMNS`; None where the column is absent.
    """
    return {name: text(example, name) for name in features.EXAMPLE_COLUMNS}


def text(example: Any, name: str) -> str | None:
    """The one value of a text column of a tf.train.Example; None where it is absent."""
    values = example.features.feature[name].bytes_list.value
    return values[0].decode(errors="replace") if values else None
