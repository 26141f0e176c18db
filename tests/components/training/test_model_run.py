"""What is read of the Trainer's artifact; tests of the Trainer write real ones."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from components.training import model_run


def history(threshold: float | None, **more: object) -> str:
    settings = {"image_size": 32, "fit": "border"}
    return json.dumps({"settings": settings, "calibration": {"threshold": threshold}, **more})


@pytest.mark.parametrize(
    ("more", "postures"),
    [
        ({}, ("Sitting", "Standing", "Lying")),  # a run before they were written down
        ({"postures": ["Lying", "Kneeling"]}, ("Lying", "Kneeling")),
    ],
)
def test_a_model_names_the_postures_that_it_was_trained_on(
    more: dict[str, object], postures: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / model_run.HISTORY).write_text(history(0.5, **more))
    assert model_run.read(tmp_path).postures == postures


def test_a_saved_model_names_its_postures() -> None:
    assert model_run.postures_of(object()) == ("Sitting", "Standing", "Lying")
    exported = SimpleNamespace(postures=tf.Variable(["Lying", "Kneeling"]))
    assert model_run.postures_of(exported) == ("Lying", "Kneeling")


@pytest.mark.parametrize(
    ("threshold", "unsure"), [(0.7, [False, True, True]), (None, [True, True, True])]
)
def test_an_answer_at_the_threshold_is_sure(
    threshold: float | None, unsure: list[bool], tmp_path: Path
) -> None:
    postures = ("Sitting", "Standing", "Lying")
    (tmp_path / model_run.HISTORY).write_text(history(threshold, postures=postures))
    trained = model_run.read(tmp_path)
    assert trained == model_run.ModelRun(
        tmp_path / "model.keras", postures, 32, "border", threshold
    )
    answers = np.array([[0.7, 0.2, 0.1], [0.69, 0.2, 0.11], [np.nan] * 3], np.float32)
    assert trained.unsure(answers).tolist() == unsure
