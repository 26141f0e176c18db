"""Splits, a transform graph and base weights that several tests train with."""

from pathlib import Path

import apache_beam as beam
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from components.examples.preprocessing import preprocessing_fn
from schema import features
from tests.support.small_training import LABELS, write


@pytest.fixture(scope="session")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformed")
    write(folder / "train" / "part-0.gz", LABELS)
    write(folder / "eval" / "part-0.gz", [0, 1, 2, 0])
    return folder


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real transform graph, as the Transform component writes it."""
    folder = tmp_path_factory.mktemp("graph")
    types = {
        **dict.fromkeys(
            (features.IMAGE, features.POSTURE, features.CLIP, features.FILE_NAME), tf.string
        ),
        **dict.fromkeys((features.WIDTH, features.HEIGHT), tf.int64),
        **dict.fromkeys(features.MEASURES, tf.float32),
    }
    spec = {name: tf.io.FixedLenFeature([1], kind) for name, kind in types.items()}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    png = tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()
    raw = [
        {
            features.IMAGE: [png],
            features.POSTURE: [b"Lying"],
            features.CLIP: [b"clip"],
            features.FILE_NAME: [b"clip_cat-1_1.png"],
            **{name: [400] for name in (features.WIDTH, features.HEIGHT)},
            **{name: [100.0] for name in features.MEASURES},
        }
    ]
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        config = {"image_size": 32, "fit": "stretch"}
        _, function = (raw, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config)
        )
        with beam.Pipeline():
            _ = function | tft_beam.WriteTransformFn(str(folder / "graph"))
    # As the Transform component does; serving parses examples by it.
    raw_metadata = folder / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR
    metadata_io.write_metadata(metadata, str(raw_metadata))
    return folder / "graph"


@pytest.fixture(scope="session")
def base_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of a base that was never trained, but whose batch norm knows its inputs."""
    keras.utils.set_random_seed(1)
    base = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.1
    for _ in range(3):
        base(np.random.default_rng(2).uniform(-1, 1, (32, 32, 32, 3)), training=True)
    path = tmp_path_factory.mktemp("weights") / "base.weights.h5"
    base.save_weights(path)
    return str(path)
