"""Predictor: the model's answer for each test image, for the review page.

The Evaluator keeps figures, not answers. TFX's BulkInferrer writes the pictures with the
answers.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.utils.shared import Shared
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact
from tfx.utils import path_utils

from components.examples import parquet
from schema import features


class Predictions(Artifact):
    """Parquet files `predictions-*.parquet` with the columns of `parquet.PREDICTIONS`."""

    TYPE_NAME = "Predictions"


class Predict(beam.DoFn):
    """Asks the model about batches of images.

    Args:
      model_dir: folder of a SavedModel with the signatures `serving_examples` and
        `transform_features` of `components.training.signatures`.
    """

    def __init__(self, model_dir: str) -> None:
        self._model_dir = model_dir
        self._shared = Shared()

    def setup(self) -> None:
        """Loads the model, once for all threads of a worker."""
        self._model = self._shared.acquire(lambda: tf.saved_model.load(self._model_dir))

    def process(self, records: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        """Answers serialized tf.Examples: a row of `parquet.PREDICTIONS` for each."""
        batch = tf.constant(records)
        answers = self._model.signatures["serving_examples"](examples=batch)
        derived = self._model.signatures["transform_features"](examples=batch)
        probabilities = answers["probabilities"].numpy().tolist()
        unsure = answers[features.UNSURE].numpy().tolist()
        qualities = zip(*(derived[name].numpy() for name in features.QUALITIES), strict=True)
        for record, quality, row, doubt in zip(
            records, qualities, probabilities, unsure, strict=True
        ):
            yield {
                **parquet.labels(tf.train.Example.FromString(record)),
                **dict(zip(features.QUALITIES, map(bytes.decode, quality), strict=True)),
                **dict(zip(features.POSTURES, row, strict=True)),
                features.UNSURE: doubt,
            }


@component(use_beam=True)
def Predictor(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    predictions: OutputArtifact[Predictions],
    batch_size: Parameter[int],
    code_digest: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Writes the model's answer for each image of the test split, in one streamed pass.

    Args:
      examples: raw tf.Examples, ExampleGen's output.
      model: the Trainer's model.
      predictions: the table.
      batch_size: images that go through the model at once.
      code_digest: digest of this module; part of the cache key.
      beam_pipeline: given by TFX.
    """
    model_dir = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    with beam_pipeline as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromTFRecord(
                os.path.join(artifact_utils.get_split_uri([examples], features.TEST), "*")
            )
            | beam.BatchElements(min_batch_size=batch_size, max_batch_size=batch_size)
            | beam.ParDo(Predict(model_dir))
            | beam.io.WriteToParquet(
                os.path.join(predictions.uri, "predictions"),
                parquet.PREDICTIONS,
                file_name_suffix=".parquet",
            )
        )
