"""What is written for a device; tests/pipeline/commands/test_export.py makes real models."""

import json
from pathlib import Path

import pytest

from components.errors import InputError
from components.serving.tflite import export
from components.serving.tflite.check import Latency, Score
from components.training.model_run import ModelRun

SPEED = {1: Latency(1.0, 2.0)}


def source(threshold: float | None) -> export.PushedModel:
    trained = ModelRun(Path("model.keras"), ("Sitting", "Lying"), 32, "stretch", threshold)
    return export.PushedModel(Path("17"), "r1/17", trained, Path("examples"), 50)


def models(agreed: int) -> list[export.Model]:
    score = Score(200, agreed, 180)
    return [
        export.Model("SavedModel", 100, Score(200, 200, 180), SPEED),
        export.Model("float16", 7, score, SPEED, b"float16"),
        export.Model("int8", 4, score, SPEED, b"int8"),
    ]


@pytest.mark.parametrize("threshold", [0.83, None])
def test_the_description_says_whose_model_it_is_and_its_threshold(
    threshold: float | None, tmp_path: Path
) -> None:
    export.write(tmp_path / "new" / "device", source(threshold), models(200))
    description = json.loads((tmp_path / "new" / "device" / export.DESCRIPTION).read_text())
    assert description["model"] == "r1/17"
    assert description["threshold"] == threshold
    assert description["labels"] == ["Sitting", "Lying"]
    assert description["output"]["shape"] == [1, 2]
    assert description["models"].keys() == {"posture_float16.tflite", "posture_int8.tflite"}


@pytest.mark.parametrize(("agreed", "refused"), [(198, 0), (196, 1), (195, 2)])
def test_each_model_has_its_own_bound(agreed: int, refused: int) -> None:
    sentences = export.refusals(models(agreed))
    assert len(sentences) == refused
    assert all(f"{agreed} of 200 test pictures" in sentence for sentence in sentences)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        export.write(tmp_path / "file" / "device", source(0.5), models(200))
