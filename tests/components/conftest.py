"""Splits and base weights that several tests train with."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.small_training import LABELS, write


@pytest.fixture(scope="session")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformed")
    write(folder / "train" / "part-0.gz", LABELS)
    write(folder / "eval" / "part-0.gz", [0, 1, 2, 0])
    return folder


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
