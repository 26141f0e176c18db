"""Runs Predictor on Beam with a small exported model; Keras and TFMA have to agree with it."""

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import json_format
from PIL import Image
from tfx.components.evaluator.executor import Executor as EvaluatorExecutor
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types import standard_artifacts

from components.examples import parquet, preprocessing
from components.judging.predictor import Predict, Predictor
from components.training import signatures
from pipeline.beam import local_args
from pipeline.config import PipelineConfig
from pipeline.evaluation import eval_config
from pipeline.runs.evaluation_result import read_slices, slice_name
from schema import features
from tests.support.examples import artifact, write_split
from tests.support.transform import preprocess

IMAGES = 30
BATCH = 4
THRESHOLD = 0.5
SIZE = 32


class Capped(signatures.ServingModule):
    """Refuses more images at once than it was promised."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.debugging.assert_less_equal(tf.shape(examples)[0], BATCH)
        return super().serve_examples(examples)


def draw_rows() -> list[dict[str, Any]]:
    """Draws images of soft coloured patches and labels that mean nothing."""
    rng = np.random.default_rng(4)
    rows = []
    for number in range(IMAGES):
        patches = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        jpeg = io.BytesIO()
        Image.fromarray(patches).resize((80, 60), Image.Resampling.BICUBIC).save(jpeg, "JPEG")
        rows.append(
            {
                features.IMAGE: jpeg.getvalue(),
                **dict.fromkeys(features.EXAMPLE_COLUMNS, b"(blank)"),
                features.FILE_NAME: f"<b>é{number}.jpg".encode(),
                features.TRANCHE: b"12"[number % 2 :][:1],
                features.POSTURE: str(rng.choice(features.POSTURES)).encode(),
                features.WIDTH: 80,
                features.HEIGHT: 60,
                features.BRIGHTNESS: float(number),
                features.CONTRAST: 50.0,
                features.SHARPNESS: float(100 - number),
                features.SATURATION: 0.0 if number == 7 else 60.0,
            }
        )
    return rows


def write_examples(rows: list[dict[str, Any]], uri: Path) -> standard_artifacts.Examples:
    write_split(uri, features.TEST, rows)
    return artifact(standard_artifacts.Examples, uri, features.TEST)


def export_model(rows: list[dict[str, Any]], folder: Path) -> tuple[keras.Model, str]:
    """Exports an untrained model through a real Transform graph, as the Trainer does.

    Returns:
      The Keras model, and the folder of the model artifact.
    """
    preprocess(rows, folder, SIZE)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Rescaling(1 / 64),
            keras.layers.AveragePooling2D(8),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    module = Capped(
        model, tft.TFTransformOutput(str(folder / "graph")), 64, SIZE, "stretch", THRESHOLD
    )
    signatures.export(module, str(folder / "model" / "Format-Serving"))
    return model, str(folder / "model")


def export_older(rows: list[dict[str, Any]], folder: Path) -> str:
    """Exports a model that knows two postures, as one of another time may; it always says Lying."""
    preprocess(rows, folder, SIZE)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model.layers[-1].set_weights([np.zeros((3, 2)), np.array([0.0, 1.0])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "POSTURES", ("Sitting", "Lying"))
        module = signatures.ServingModule(
            model, tft.TFTransformOutput(str(folder / "graph")), 64, SIZE, "stretch", 0.9
        )
        signatures.export(module, str(folder / "model" / "Format-Serving"))
    return str(folder / "model")


class World(NamedTuple):
    """What was put in, and what came out."""

    rows: list[dict[str, Any]]
    keras_model: keras.Model
    model_uri: str
    examples: standard_artifacts.Examples
    predictions: pd.DataFrame


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("predictor")
    rows = draw_rows()
    examples = write_examples(rows, folder / "examples")
    keras_model, model_uri = export_model(rows, folder)
    examples_importer = Importer(
        source_uri=examples.uri,
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": examples.split_names},
    ).with_id("examples")
    model_importer = Importer(
        source_uri=model_uri,
        artifact_type=standard_artifacts.Model,
        custom_properties={"tfx_version": "1.16.0"},
    ).with_id("model")
    older_importer = Importer(
        source_uri=export_older(rows, folder / "older"),
        artifact_type=standard_artifacts.Model,
        custom_properties={"tfx_version": "1.16.0"},
    ).with_id("older")
    predictor = Predictor(
        examples=examples_importer.outputs["result"],
        model=model_importer.outputs["result"],
        batch_size=BATCH,
        code_digest="",
        in_service=older_importer.outputs["result"],
        reference=model_importer.outputs["result"],
    )
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="predictor",
            pipeline_root=str(folder / "root"),
            components=[examples_importer, model_importer, older_importer, predictor],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(folder / "metadata.sqlite")
            ),
            beam_pipeline_args=local_args(),
        )
    )
    (written,) = (folder / "root" / "Predictor" / "predictions").iterdir()
    return World(rows, keras_model, model_uri, examples, parquet.read(written, parquet.PREDICTIONS))


def test_every_image_is_there_with_its_labels(world: World) -> None:
    assert list(world.predictions.columns) == parquet.PREDICTIONS.names
    found = world.predictions.set_index(features.FILE_NAME)
    assert found.index.is_unique and len(found) == IMAGES
    for row in world.rows:
        shown = found.loc[row[features.FILE_NAME].decode()]
        for column in features.EXAMPLE_COLUMNS[1:]:
            assert shown[column] == row[column].decode()


def test_probabilities_are_those_of_the_keras_model(world: World) -> None:
    found = world.predictions.set_index(features.FILE_NAME)
    pictures = [
        preprocessing.fit_image(preprocessing.decode_image(row[features.IMAGE]), SIZE, "stretch")
        for row in world.rows
    ]
    expected = world.keras_model.predict(np.stack(pictures).astype(np.float32), verbose=0)
    names = [row[features.FILE_NAME].decode() for row in world.rows]
    answered = found.loc[names, list(features.POSTURES)].to_numpy()
    assert answered.dtype == np.float32
    np.testing.assert_allclose(answered, expected, atol=1e-5)
    assert len(set(answered.argmax(axis=1))) > 1
    unsure = answered.max(axis=1) < THRESHOLD
    assert found.loc[names, features.UNSURE].tolist() == unsure.tolist()
    assert 0 < unsure.sum() < IMAGES


def test_the_others_answer_the_images_whose_label_they_know(world: World) -> None:
    found = world.predictions
    known = found[features.POSTURE] != "Standing"
    assert 0 < known.sum() < IMAGES
    assert found["in_service_answer"][~known].isna().all()
    assert (found["in_service_answer"][known] == "Lying").all()
    confidence = np.exp(1) / (1 + np.exp(1))
    np.testing.assert_allclose(found["in_service_confidence"][known], confidence, atol=1e-6)
    assert (found["in_service_unsure"][known] == True).all()  # noqa: E712 (an object column)


def test_a_model_that_is_its_own_reference_agrees_with_itself(world: World) -> None:
    found = world.predictions
    mine = found[list(features.POSTURES)]
    assert (found["reference_answer"] == mine.idxmax(axis=1)).all()
    np.testing.assert_array_equal(found["reference_confidence"], mine.max(axis=1))
    assert found["reference_unsure"].astype(bool).equals(found[features.UNSURE])


def test_qualities_are_those_of_transform(world: World) -> None:
    found = world.predictions.set_index(features.FILE_NAME)
    assert found[features.LIGHT].value_counts()["dark"] == pytest.approx(IMAGES / 5, abs=1)
    assert found.loc["<b>é0.jpg", features.LIGHT] == "dark"
    assert found.loc["<b>é29.jpg", features.LIGHT] == "bright"
    assert found.loc["<b>é29.jpg", features.FOCUS] == "blurred"
    assert set(found[features.SIZE]) == {"usual"}
    grayscale = found.index[found[features.COLOUR] == "grayscale"]
    assert list(grayscale) == ["<b>é7.jpg"]


def test_labels_and_qualities_need_no_picture(world: World) -> None:
    example = tf.train.Example()
    (record,) = tf.data.TFRecordDataset(
        tf.io.gfile.glob(f"{world.examples.uri}/Split-test/*"), "GZIP"
    ).take(1)
    example.ParseFromString(record.numpy())
    del example.features.feature[features.IMAGE]
    loaded = tf.saved_model.load(str(Path(world.model_uri) / "Format-Serving"))
    derived = loaded.signatures["transform_features"](
        examples=tf.constant([example.SerializeToString()])
    )
    assert derived[features.LIGHT].numpy().tolist() == [b"dark"]


def test_accuracy_in_each_slice_is_what_tfma_found(world: World, tmp_path: Path) -> None:
    judged_by = eval_config(PipelineConfig(data_root=tmp_path))
    judged_by.options.compute_confidence_intervals.value = False
    model, result = standard_artifacts.Model(), standard_artifacts.ModelEvaluation()
    blessing = standard_artifacts.ModelBlessing()
    model.uri, result.uri = world.model_uri, str(tmp_path / "evaluation")
    blessing.uri = str(tmp_path / "blessing")
    model.set_string_custom_property("tfx_version", "1.16.0")
    EvaluatorExecutor().Do(
        {"examples": [world.examples], "model": [model]},
        {"evaluation": [result], "blessing": [blessing]},
        {
            "eval_config": json_format.MessageToJson(judged_by, preserving_proto_field_name=True),
            "example_splits": json.dumps([features.TEST]),
            "module_path": "pipeline.evaluation",
        },
    )
    metrics = {slice_name(key): found for key, found in read_slices(result.uri).items()}
    postures = list(features.POSTURES)
    predicted = world.predictions[postures].idxmax(axis=1)
    right = predicted == world.predictions[features.POSTURE]
    assert metrics["overall"].accuracy == pytest.approx(right.mean())
    sure = ~world.predictions[features.UNSURE]
    assert metrics["overall"].coverage == pytest.approx(sure.mean())
    assert metrics["overall"].selective_accuracy == pytest.approx(right[sure].mean())
    for column in (features.TRANCHE, *features.QUALITIES):
        for value, answers in right.groupby(world.predictions[column]):
            found = metrics[f"{column}={value}"]
            assert found.example_count == len(answers)
            assert found.accuracy == pytest.approx(answers.mean()), (column, value)


def test_a_split_without_images_is_an_empty_table(world: World, tmp_path: Path) -> None:
    """As `Predictor` writes it; the model is loaded and never asked."""
    with beam.Pipeline() as nothing:
        _ = (
            nothing
            | beam.Create([])
            | beam.ParDo(Predict(str(Path(world.model_uri) / "Format-Serving"), {}))
            | beam.io.WriteToParquet(str(tmp_path / "predictions"), parquet.PREDICTIONS)
        )
    assert list(parquet.read(tmp_path, parquet.PREDICTIONS).columns) == parquet.PREDICTIONS.names
