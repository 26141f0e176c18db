"""Predictor: what the candidate, and the models it is compared with, answer for each test image.

The Evaluator keeps figures, not answers. TFX's BulkInferrer writes the pictures with the
answers.
"""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import apache_beam as beam
import numpy as np
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
from components.training.model_run import postures_of
from schema import features
from schema.features import Role

_OF_OTHERS: Final = [
    name
    for role in features.ROLES
    for name in (parquet.answer_of(role), parquet.confidence_of(role), parquet.unsure_of(role))
]


class Predictions(Artifact):
    """Parquet files `predictions-*.parquet` with the columns of `parquet.PREDICTIONS`."""

    TYPE_NAME = "Predictions"


class Predict(beam.DoFn):
    """Asks models about batches of images.

    Args:
      model_dir: folder of the candidate, a SavedModel with the signatures `serving_examples` and
        `transform_features` of `components.training.signatures`.
      others: the same of the models that it is compared with, by role.
    """

    def __init__(self, model_dir: str, others: Mapping[Role, str]) -> None:
        self._model_dir = model_dir
        self._others = dict(others)
        self._shared = {folder: Shared() for folder in {model_dir, *others.values()}}

    def setup(self) -> None:
        """Loads each model, once for all threads of a worker."""
        self._models = {
            folder: shared.acquire(functools.partial(tf.saved_model.load, folder))
            for folder, shared in self._shared.items()
        }
        self._postures = {folder: postures_of(model) for folder, model in self._models.items()}

    def process(self, records: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        """Answers serialized tf.Examples: a row of `parquet.PREDICTIONS` for each."""
        batch = tf.constant(records)
        mine = self._models[self._model_dir].signatures
        answers = {
            folder: model.signatures["serving_examples"](examples=batch)
            for folder, model in self._models.items()
        }
        derived = mine["transform_features"](examples=batch)
        probabilities = answers[self._model_dir]["probabilities"].numpy().tolist()
        unsure = answers[self._model_dir][features.UNSURE].numpy().tolist()
        qualities = zip(*(derived[name].numpy() for name in features.QUALITIES), strict=True)
        rows = [
            {
                **parquet.labels(tf.train.Example.FromString(record)),
                **dict(zip(features.QUALITIES, map(bytes.decode, quality), strict=True)),
                **dict(zip(features.POSTURES, row, strict=True)),
                features.UNSURE: doubt,
                **dict.fromkeys(_OF_OTHERS),
            }
            for record, quality, row, doubt in zip(
                records, qualities, probabilities, unsure, strict=True
            )
        ]
        for role, folder in self._others.items():
            _add(rows, role, answers[folder], self._postures[folder])
        yield from rows


def _add(
    rows: list[dict[str, Any]],
    role: Role,
    answers: Mapping[str, tf.Tensor],
    postures: tuple[str, ...],
) -> None:
    """Adds another model's answers to the images whose label it knows."""
    probabilities = answers["probabilities"].numpy()
    for row, shares, doubt in zip(
        rows, probabilities, answers[features.UNSURE].numpy().tolist(), strict=True
    ):
        if row[features.POSTURE] in postures:
            top = int(np.argmax(np.nan_to_num(shares)))
            row[parquet.answer_of(role)] = postures[top]
            row[parquet.confidence_of(role)] = float(shares[top])
            row[parquet.unsure_of(role)] = doubt


@component(use_beam=True)
def Predictor(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    predictions: OutputArtifact[Predictions],
    batch_size: Parameter[int],
    code_digest: Parameter[str],
    in_service: InputArtifact[standard_artifacts.Model] = None,
    reference: InputArtifact[standard_artifacts.Model] = None,
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Writes the models' answers for each image of the test split, in one streamed pass.

    Each model is asked once, also where one is in service and the reference.

    Args:
      examples: raw tf.Examples, ExampleGen's output.
      model: the candidate.
      predictions: the table.
      batch_size: images that go through the model at once.
      code_digest: digest of this module; part of the cache key.
      in_service: the model in service, if there is one.
      reference: the reference, if there is one.
      beam_pipeline: given by TFX.
    """
    others: dict[Role, Any] = {"in_service": in_service, "reference": reference}
    folders = {role: _folder(other) for role, other in others.items() if other}
    with beam_pipeline as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromTFRecord(
                os.path.join(artifact_utils.get_split_uri([examples], features.TEST), "*")
            )
            | beam.BatchElements(min_batch_size=batch_size, max_batch_size=batch_size)
            | beam.ParDo(Predict(_folder(model), folders))
            | beam.io.WriteToParquet(
                os.path.join(predictions.uri, "predictions"),
                parquet.PREDICTIONS,
                file_name_suffix=".parquet",
            )
        )


def _folder(model: Artifact) -> str:
    return str(path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)))
