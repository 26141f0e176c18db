"""What is read of the Trainer's artifact; tests of the Trainer write real ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.training import model_run


@pytest.mark.parametrize(
    ("threshold", "unsure"), [(0.7, [False, True, True]), (None, [True, True, True])]
)
def test_an_answer_at_the_threshold_is_sure(
    threshold: float | None, unsure: list[bool], tmp_path: Path
) -> None:
    history = {
        "settings": {"image_size": 32, "fit": "border"},
        "calibration": {"threshold": threshold},
    }
    (tmp_path / model_run.HISTORY).write_text(json.dumps(history))
    trained = model_run.read(tmp_path)
    assert trained == model_run.ModelRun(tmp_path / "model.keras", 32, "border", threshold)
    answers = np.array([[0.7, 0.2, 0.1], [0.69, 0.2, 0.11], [np.nan] * 3], np.float32)
    assert trained.unsure(answers).tolist() == unsure
