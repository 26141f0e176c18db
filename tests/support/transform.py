"""A real Transform pass on Beam over a few rows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from components.examples import preprocessing

_KINDS = {bytes: tf.string, int: tf.int64, float: tf.float32}


def transform(
    rows: Sequence[Mapping[str, Any]],
    function: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    folder: Path,
) -> list[dict[str, Any]]:
    """Transforms rows with one value in each column.

    Args:
      rows: bytes, int or float by column.
      function: the preprocessing function.
      folder: its `graph` will hold the transform graph as the Transform component writes it.

    Returns:
      The transformed rows, in order.
    """
    spec = {
        name: tf.io.FixedLenFeature([1], _KINDS[type(value)]) for name, value in rows[0].items()
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    data = [{name: [value] for name, value in row.items()} for row in rows]
    with tft_beam.Context(temp_dir=str(folder / "scratch")):
        (transformed, _), graph = (data, metadata) | tft_beam.AnalyzeAndTransformDataset(function)
        with beam.Pipeline():
            _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    # As the Transform component does; serving parses examples by it.
    raw = folder / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR
    metadata_io.write_metadata(metadata, str(raw))
    return transformed


def preprocess(
    rows: Sequence[Mapping[str, Any]], folder: Path, size: int, fit: str = "stretch"
) -> list[dict[str, Any]]:
    """`transform` by the pipeline's own preprocessing function."""
    config = {"image_size": size, "fit": fit}
    return transform(rows, lambda raw: preprocessing.preprocessing_fn(raw, config), folder)
