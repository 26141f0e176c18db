"""ImageTable: labels and measures of every image of all splits, in one small table.

The review page shows the data from it, also where the gate refuses them.
"""

import os
from typing import Any, Final

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact

from components.examples import parquet
from schema import features

# Columns of numbers, and the tf.train.Feature that holds each.
_NUMBERS: Final = {
    **dict.fromkeys((features.WIDTH, features.HEIGHT), "int64_list"),
    **dict.fromkeys(features.MEASURES, "float_list"),
}


class Images(Artifact):
    """Parquet files `images-*.parquet` with the columns of `parquet.IMAGES`."""

    TYPE_NAME = "Images"


def row(record: bytes, split: str) -> dict[str, Any]:
    """Makes a row of the table from a record.

    Args:
      record: a serialized tf.Example; data that the gate will refuse may lack columns.
      split: the split that it is in.

    Returns:
      Values by the columns of `parquet.IMAGES`, None where the example has none.
    """
    example = tf.train.Example.FromString(record)
    return {
        parquet.SPLIT: split,
        **parquet.labels(example),
        **{name: _number(example, name, kind) for name, kind in _NUMBERS.items()},
        features.PERCEPTUAL_HASH: parquet.text(example, features.PERCEPTUAL_HASH),
    }


def _number(example: tf.train.Example, name: str, kind: str) -> float | None:
    values = getattr(example.features.feature[name], kind).value
    return values[0] if values else None


@component(use_beam=True)
def ImageTable(
    examples: InputArtifact[standard_artifacts.Examples],
    images: OutputArtifact[Images],
    code_digest: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Writes a row for each image.

    Args:
      examples: ExampleGen's output; all splits are read.
      images: the table.
      code_digest: digest of this module; part of the cache key.
      beam_pipeline: given by TFX.
    """
    with beam_pipeline as pipeline:
        rows = [
            pipeline
            | f"Read[{split}]"
            >> beam.io.ReadFromTFRecord(
                os.path.join(artifact_utils.get_split_uri([examples], split), "*")
            )
            | f"Row[{split}]" >> beam.Map(row, split)
            for split in artifact_utils.decode_split_names(examples.split_names)
        ]
        _ = (
            rows
            | beam.Flatten()
            | beam.io.WriteToParquet(
                os.path.join(images.uri, "images"), parquet.IMAGES, file_name_suffix=".parquet"
            )
        )
