"""Scores are what a loop over single pictures finds."""

import time
from pathlib import Path

import pytest

from components.serving.tflite import check, convert, fitted_pictures
from tests.support import exported, small_output

IMAGES = 70  # more than two batches


def test_scores_count_decisions(transform_graph: Path, tmp_path: Path) -> None:
    model = small_output.colour_model(outlier=1.0)
    exported.save(tmp_path / "model", model, transform_graph, small_output.FIT)
    small_output.write_images(tmp_path, "test", IMAGES)
    records = fitted_pictures.stored(tmp_path, "test")
    turned = small_output.colour_model(outlier=1.0)
    kernel, bias = turned.layers[-1].get_weights()
    turned.layers[-1].set_weights([kernel[:, [0, 2, 1]], bias])
    devices = {
        "same": check.Device(convert.float16(model), 1),
        "turned": check.Device(convert.float16(turned), 1),
    }
    found = check.scores(tmp_path / "model", devices, records, small_output.SIZE, small_output.FIT)
    red = len(range(0, IMAGES, 3))
    assert found[check.SAVED_MODEL] == found["same"] == check.Score(IMAGES, IMAGES, IMAGES)
    assert found["turned"] == check.Score(IMAGES, red, red)
    assert found["turned"].agreement == found["turned"].accuracy == red / IMAGES


def test_no_record_no_score(transform_graph: Path, tmp_path: Path) -> None:
    exported.save(tmp_path / "model", small_output.colour_model(outlier=1.0), transform_graph)
    small_output.write_images(tmp_path, "test", 0)
    records = fitted_pictures.stored(tmp_path, "test")
    assert check.scores(tmp_path / "model", {}, records, 32, "stretch") == {}


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
