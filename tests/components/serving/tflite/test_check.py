"""Scores are what a loop over single pictures finds."""

import time
from pathlib import Path

from components.serving.tflite import check, convert, fitted_pictures
from tests.support import small_output

IMAGES = 70  # more than two batches


def test_scores_count_decisions(tmp_path: Path) -> None:
    model = small_output.colour_model(outlier=1.0)
    small_output.save(model, tmp_path / "model")
    small_output.write_split(tmp_path / "Split-test", IMAGES)
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


def test_no_record_no_score(tmp_path: Path) -> None:
    small_output.save(small_output.colour_model(outlier=1.0), tmp_path / "model")
    small_output.write_split(tmp_path / "Split-test", 0)
    records = fitted_pictures.stored(tmp_path, "test")
    assert check.scores(tmp_path / "model", {}, records, 32, "stretch") == {}


def test_latency_is_in_milliseconds_and_forgets_the_warm_up() -> None:
    pauses = iter([0.02] * check.WARM_UP + [0.001] * check.CALLS)
    found = check.latency(lambda: time.sleep(next(pauses)))
    assert 1 <= found.p50 <= found.p99
    assert found.p50 < 20
    assert next(pauses, None) is None
