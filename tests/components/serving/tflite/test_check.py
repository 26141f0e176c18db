"""Scores are what a loop over single pictures finds."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.serving.tflite import check, convert, fitted_pictures
from components.training.model_run import ModelRun
from schema import features
from tests.support import exported, small_output
from tests.support.examples import write_split

IMAGES = 70  # more than two batches
GRAY = 12
# Of a picture of one colour the model is sure, of a gray one it is not.
TRAINED = ModelRun(Path("none"), features.POSTURES, small_output.SIZE, small_output.FIT, 0.7)


@pytest.fixture(scope="module")
def model(transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported.save(
        tmp_path_factory.mktemp("model"),
        small_output.colour_model(outlier=1.0),
        transform_graph,
        TRAINED.fit,
        TRAINED.threshold or 0,
    )


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tf.data.Dataset:
    folder = tmp_path_factory.mktemp("examples")
    gray = tf.io.encode_png(np.full((40, 60, 3), 130, np.uint8)).numpy()
    write_split(
        folder,
        features.TEST,
        [
            *(small_output.row(index) for index in range(IMAGES - GRAY)),
            *[{features.IMAGE: gray, features.POSTURE: "Sitting"}] * GRAY,
        ],
    )
    return fitted_pictures.stored(folder, features.TEST)


def device(*order: int) -> check.Device:
    """The same model, its answers in another order."""
    built = small_output.colour_model(outlier=1.0)
    kernel, bias = built.layers[-1].get_weights()
    built.layers[-1].set_weights([kernel[:, order], bias])
    return check.Device(convert.float16(built), 1)


def test_scores_count_decisions(model: Path, records: tf.data.Dataset) -> None:
    devices = {"same": device(0, 1, 2), "turned": device(0, 2, 1)}
    found = check.scores(model, devices, records, TRAINED)
    # Its channels being equal, the first posture is the most probable one of a gray picture.
    assert found[check.SAVED_MODEL] == check.Score(IMAGES, IMAGES, IMAGES)
    assert found["same"].agreed == IMAGES
    red = len(range(0, IMAGES - GRAY, 3))
    assert found["turned"].agreed == red + GRAY
    assert found["turned"].agreement == (red + GRAY) / IMAGES
    assert red <= found["turned"].right <= red + GRAY


@pytest.mark.parametrize(("threshold", "agreed"), [(None, GRAY), (0.0, IMAGES - GRAY)])
def test_sure_and_unsure_are_different_decisions(
    threshold: float | None, agreed: int, model: Path, records: tf.data.Dataset
) -> None:
    other = replace(TRAINED, threshold=threshold)
    found = check.scores(model, {"same": device(0, 1, 2)}, records, other)
    assert found["same"].agreed == agreed
    assert found[check.SAVED_MODEL].agreed == IMAGES


def test_no_record_no_score(model: Path, tmp_path: Path) -> None:
    small_output.write_images(tmp_path, "test", 0)
    records = fitted_pictures.stored(tmp_path, "test")
    assert check.scores(model, {}, records, TRAINED) == {}


def test_latency_is_in_milliseconds_and_forgets_the_warm_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = check.CALLS // 50
    takes = iter([9.0] * check.WARM_UP + [0.004] * slow + [0.001] * (check.CALLS - slow))
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def call() -> None:
        now[0] += next(takes)

    assert check.latency(call) == check.Latency(pytest.approx(1.0), pytest.approx(4.0))
    assert next(takes, None) is None
