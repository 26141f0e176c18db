"""Export, on output folders that real, small pipelines have left."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from components.errors import InputError
from components.serving.tflite import fitted_pictures
from components.serving.tflite.export import AGREEMENT, CALIBRATION_PICTURES, DESCRIPTION
from pipeline.commands.export import export, find_source
from pipeline.config import PipelineConfig
from schema import features
from tests.support import exported, small_output

FILES = {"posture_float16.tflite", "posture_int8.tflite", DESCRIPTION}


@pytest.fixture(scope="module")
def output(transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a model that keeps its decisions in integers."""
    root = tmp_path_factory.mktemp("output")
    small_output.run(root, transform_graph, outlier=1.0)
    return root


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(export, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_both_models_and_their_description_are_written(output: Path, tmp_path: Path) -> None:
    to = tmp_path / "new" / "device"
    status, shown, errors = invoke("--output-root", output, "--to", to)
    assert status == 0, errors
    assert {path.name for path in to.iterdir()} == FILES
    assert [path.name for path in to.parent.iterdir()] == ["device"]
    description = json.loads((to / DESCRIPTION).read_text())
    (version,) = (output / "serving" / "posture").iterdir()
    assert description["model"] == f"r1/{version.name}"
    assert description["labels"] == list(features.POSTURES)
    assert description["input"]["shape"] == [1, small_output.SIZE, small_output.SIZE, 3]
    assert description["input"]["fit"] == small_output.FIT
    assert description["threshold"] == exported.THRESHOLD
    assert description["test_pictures"] == small_output.IMAGES[features.TEST]
    assert description["calibration_pictures"] == small_output.IMAGES[features.TRAIN]
    assert small_output.IMAGES[features.TRAIN] < CALIBRATION_PICTURES
    for name, entry in description["models"].items():
        assert entry["sha256"] == hashlib.sha256((to / name).read_bytes()).hexdigest()
        assert entry["agreement"] == entry["accuracy"] == 1.0
    for name in ("SavedModel", *AGREEMENT):
        assert name in shown


def test_the_written_models_answer_as_the_description_says(output: Path, tmp_path: Path) -> None:
    assert invoke("--output-root", output, "--to", tmp_path)[0] == 0
    description = json.loads((tmp_path / DESCRIPTION).read_text())
    (split,) = (output / "artifacts" / "TrancheExampleGen" / "examples").iterdir()
    stored = fitted_pictures.stored(split, features.TEST)
    shown = fitted_pictures.fitted(stored, small_output.SIZE, description["input"]["fit"])
    for name in description["models"]:
        answer = tf.lite.Interpreter(str(tmp_path / name)).get_signature_runner()
        for record, picture in zip(stored.as_numpy_iterator(), shown, strict=True):
            probabilities = answer(picture=picture[tf.newaxis])["probabilities"]
            posture = tf.train.Example.FromString(record).features.feature[features.POSTURE]
            named = description["labels"][int(np.argmax(probabilities))]
            assert named.encode() == posture.bytes_list.value[0]
            assert probabilities.max() >= description["threshold"]
        gray = np.full(description["input"]["shape"], 130, np.uint8)
        assert answer(picture=gray)["probabilities"].max() < description["threshold"]


def test_a_model_that_decides_otherwise_is_a_gate(
    transform_graph: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    output = tmp_path_factory.mktemp("output")
    small_output.run(output, transform_graph, outlier=1e4)
    status, shown, errors = invoke("--output-root", output, "--to", tmp_path / "to")
    assert status == 3
    assert list(tmp_path.iterdir()) == []
    last = errors.splitlines()[-1]
    assert "int8" in last and "float16" not in last, "float16 stores the outlier well"
    assert last.endswith("less than 98%; nothing was written.")
    assert "int8" in shown, "the table says by how much"


def test_a_folder_with_something_in_it_is_left_alone(output: Path, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine")
    for to in (tmp_path, tmp_path / "own.txt"):
        with pytest.raises(InputError, match=r"There is something in .* name another folder"):
            invoke("--output-root", output, "--to", to)
    assert [path.name for path in tmp_path.iterdir()] == ["own.txt"]


def test_without_a_pushed_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no model in .*the command run"):
        invoke("--output-root", tmp_path)


def test_what_is_gone_is_named(output: Path, tmp_path: Path) -> None:
    config = PipelineConfig(output_root=output)
    source = find_source(config)
    for path in (source.trained.keras_model, source.examples / "Split-test"):
        away = shutil.move(path, tmp_path / path.name)
        with pytest.raises(InputError, match=f"{path.name} is gone"):
            find_source(config)
        shutil.move(away, path)
    other = config.serving_dir / "9999999999"
    shutil.copytree(source.saved_model, other)
    (other / "assets.extra" / "pushed.json").unlink()  # put there by somebody else
    with pytest.raises(InputError, match="knows no run that pushed"):
        find_source(config)
    shutil.rmtree(other)
