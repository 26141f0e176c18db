"""Predict, on a small SavedModel whose answers are plain to see."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import ExifTags, Image

from components.errors import InputError
from components.serving import asking, versions
from pipeline.commands import predict
from schema import features
from tests.support.damages import DAMAGES, save_graph


@pytest.fixture(scope="module")
def model(transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support import exported

    folder = tmp_path_factory.mktemp("model")
    return exported.save(folder, exported.corner_model(), transform_graph)


def half(first: int, second: int) -> Image.Image:
    """A picture of 60 x 40: the left half in one colour of RGB, the right in another."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30, first] = 250
    pixels[:, 30:, second] = 250
    return Image.fromarray(pixels)


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(predict.predict, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_answers_come_in_order_over_several_batches(model: Path, tmp_path: Path) -> None:
    count = 2 * asking.BATCH_SIZE + 3
    paths = [tmp_path / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        half(index % 3, 0).save(path)
    status, output, _ = invoke(*paths, "--model", model, "--json")
    answers = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    assert [answer["image"] for answer in answers] == [str(path) for path in paths]
    assert [answer["label"] for answer in answers] == [
        features.POSTURES[index % 3] for index in range(count)
    ]
    for answer in answers:
        assert answer["confidence"] == answer["probabilities"][answer["label"]]
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["unsure"] is False


def test_pictures_are_turned_upright(model: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3  # upside down: the right lower corner is the left upper
    half(0, 2).save(tmp_path / "turned.jpg", exif=exif)
    half(0, 2).save(tmp_path / "plain.jpg")
    _, output, _ = invoke(
        tmp_path / "turned.jpg", tmp_path / "plain.jpg", "--model", model, "--json"
    )
    assert [json.loads(line)["label"] for line in output.splitlines()] == ["Lying", "Sitting"]


def test_unreadable_files_are_named_and_the_others_answered(model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    half(1, 1).save(tmp_path / "good.webp")  # TensorFlow cannot read it, Pillow can
    absent = tmp_path / "absent.png"
    paths = (tmp_path / "broken.jpg", absent, tmp_path / "good.webp", tmp_path)
    status, output, errors = invoke(*paths, "--model", model, "--json")
    assert status == 1
    assert [json.loads(line)["label"] for line in output.splitlines()] == ["Standing"]
    assert "broken.jpg cannot be used: " in errors
    assert f"{absent} cannot be used: there is no such file." in errors
    assert f"{tmp_path} cannot be used: not a regular file." in errors


def test_only_unreadable_files(model: Path, tmp_path: Path) -> None:
    status, output, errors = invoke(tmp_path / "a.png", "--model", model)
    assert (status, output) == (1, "")
    assert "a.png cannot be used" in errors


def test_a_table_for_people(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    half(0, 0).save("[bold]red.png")
    status, output, _ = invoke("[bold]red.png", "--model", model)
    assert status == 0
    assert "Sitting" in output
    assert "100 %" in output
    assert "[bold]red.png" in output
    assert "unsure" not in output
    assert output.splitlines()[-1] == "Model: not pushed, sure from 50.0 % on"


def test_what_the_model_is_unsure_of_is_marked(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "gray").save(tmp_path / "gray.png")
    _, output, _ = invoke(tmp_path / "gray.png", "--model", model)
    assert "unsure" in output
    _, output, _ = invoke(tmp_path / "gray.png", "--model", model, "--json")
    assert json.loads(output)["unsure"] is True


def test_answers_say_which_version_gave_them(model: Path, tmp_path: Path) -> None:
    half(0, 0).save(tmp_path / "red.png")
    serving = tmp_path / "serving"
    origin = versions.Origin(run_id="r1", model_id=7, model_created=1)
    pushed = versions.push(model, serving, origin)
    back = versions.push(pushed.folder, serving, origin.model_copy(update={"run_id": "r2"}))
    for folder, name in (
        (model, "not pushed"),
        (pushed.folder, f"r1/{pushed.number}"),
        (serving, f"r2/{back.number}"),
    ):
        _, output, _ = invoke(tmp_path / "red.png", "--model", folder, "--json")
        answer = json.loads(output)
        assert (answer["model"], answer["threshold"]) == (name, 0.5)
    assert not any(version.damage for version in versions.versions(serving))


def test_a_model_that_is_never_sure_has_no_threshold(transform_graph: Path, tmp_path: Path) -> None:
    from tests.support import exported

    exported.save(tmp_path / "model", exported.corner_model(), transform_graph, threshold=math.inf)
    half(0, 0).save(tmp_path / "red.png")
    _, output, _ = invoke(tmp_path / "red.png", "--model", tmp_path / "model", "--json")
    assert json.loads(output)["threshold"] is None


def test_a_model_that_does_not_say_who_answers_is_unknown(model: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))

    class Former(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            answers = self.model.signatures["serving_default"](image_bytes=image_bytes)
            new = (features.MODEL, features.THRESHOLD)
            return {name: value for name, value in answers.items() if name not in new}

    former = Former()
    former.model = loaded
    tf.saved_model.save(former, str(tmp_path / "old"), signatures={"serving_default": former.serve})
    half(0, 0).save(tmp_path / "red.png")
    _, output, _ = invoke(tmp_path / "red.png", "--model", tmp_path / "old", "--json")
    answer = json.loads(output)
    assert (answer["label"], answer["model"], answer["threshold"]) == ("Sitting", "unknown", None)
    _, output, _ = invoke(tmp_path / "red.png", "--model", tmp_path / "old")
    assert output.splitlines()[-1] == "Model: unknown"


def test_the_highest_version_is_taken(tmp_path: Path) -> None:
    serving = tmp_path / "serving" / "posture"
    for name in ("9", "10", "backup", "11b", "\uff11\uff12", "-13"):
        save_graph(serving / name)
    assert asking.find_model(serving) == serving / "10"
    assert asking.find_model(serving / "9") == serving / "9"
    (serving / "11" / "assets.extra").mkdir(parents=True)
    with pytest.raises(InputError, match=r"11: its file saved_model.pb is missing .* remove it"):
        asking.find_model(serving)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused_in_a_sentence(
    model: Path, damage: Callable[[Path], object], tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(InputError, match=r"^(The model|There is no model in) [^\n]*$"):
        invoke("x.png", "--model", tmp_path / "model")


def test_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no model in"):
        invoke("x.png", "--output-root", tmp_path)


def test_models_that_are_none_of_ours(tmp_path: Path) -> None:
    import tensorflow as tf

    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be loaded"):
        invoke("x.png", "--model", tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(InputError, match="does not take encoded pictures as"):
        invoke("x.png", "--model", tmp_path / "other")

    class OtherAnswers(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": tf.ones([tf.size(image_bytes), 3]) / 3}

    other = OtherAnswers()
    tf.saved_model.save(other, str(tmp_path / "more"), signatures={"serving_default": other.serve})
    with pytest.raises(InputError, match="does not take encoded pictures as"):
        invoke("x.png", "--model", tmp_path / "more")


def test_a_model_from_before_a_posture_was_added_answers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(features, "POSTURES", (*features.POSTURES, "Kneeling"))
    half(0, 0).save("red.png")
    _, output, _ = invoke("red.png", "--model", model, "--json")
    assert [*json.loads(output)["probabilities"]] == ["Sitting", "Standing", "Lying"]
    status, output, _ = invoke("red.png", "--model", model)
    assert (status, "Kneeling" in output, "Sitting" in output) == (0, True, True)
