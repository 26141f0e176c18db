"""The Parquet tables of images and predictions: their columns, and how to read them.

Imports neither Beam nor TFX, which take long to load.
"""

from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from schema import features

SPLIT: Final = "split"

_LABELS: Final = [(name, pa.string()) for name in features.EXAMPLE_COLUMNS]

# A row for each image of all splits; see `components.examples.image_table`.
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


def answer_of(role: str) -> str:
    """The column of the posture that another model names; null if it does not know the label."""
    return f"{role}_answer"


def confidence_of(role: str) -> str:
    """The column of the probability that another model gives its answer."""
    return f"{role}_confidence"


def unsure_of(role: str) -> str:
    """The column that says whether another model is unsure of its answer."""
    return f"{role}_unsure"


# A row for each image of the test split; see `components.judging.predictor`. The columns of a
# model that there is not are null.
PREDICTIONS: Final = pa.schema(
    [
        *_LABELS,
        *((name, pa.string()) for name in features.QUALITIES),
        *((name, pa.float32()) for name in features.POSTURES),  # probabilities
        (features.UNSURE, pa.bool_()),
        *(
            column
            for role in features.ROLES
            for column in (
                (answer_of(role), pa.string()),
                (confidence_of(role), pa.float32()),
                (unsure_of(role), pa.bool_()),
            )
        ),
    ]
)


def read(folder: Path, table: pa.Schema) -> pd.DataFrame:
    """Reads a table.

    Args:
      folder: of the artifact.
      table: `IMAGES` or `PREDICTIONS`.

    Returns:
      The table's columns, rows in no particular order; text as str, None where an example lacks
      the value. A column that a run before it was added does not have is NaN.

    Raises:
      FileNotFoundError: there is no such folder.
    """
    return pd.read_parquet(folder).reindex(columns=table.names)


def labels(example: Any) -> dict[str, str | None]:
    """Reads the label columns of an example.

    Args:
      example: a tf.train.Example as in the TFRecords.

    Returns:
      Text by `schema.features.EXAMPLE_COLUMNS`; None where the column is absent.
    """
    return {name: text(example, name) for name in features.EXAMPLE_COLUMNS}


def text(example: Any, name: str) -> str | None:
    """The value of a text column of a tf.train.Example; None where it is absent."""
    values = example.features.feature[name].bytes_list.value
    return values[0].decode(errors="replace") if values else None
