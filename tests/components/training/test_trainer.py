"""The Trainer on a small made-up split: what it writes, with and without stored features."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.training import calibration, network, phases, trainer
from components.training.training_data import Pictures, evaluation_data
from schema import features
from tests.support.small_training import LABELS, SETTINGS, fn_args


def test_training_exports_all_signatures_and_leaves_only_weights(
    transformed: Path, transform_graph: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    (backup / "abandoned").mkdir(parents=True)
    trainer.run_fn(fn_args(transformed, transform_graph, tmp_path, SETTINGS, backup))

    summary = json.loads((tmp_path / "run" / "history.json").read_text())
    (phase,) = summary["phases"].values()
    assert [row["epoch"] for row in phase["epochs"]] == [0, 1, 2]
    assert (phase["most_epochs"], phase["kept_epoch"]) == (3, 3)
    assert summary["examples"] == len(LABELS)
    assert list((tmp_path / "run" / "tensorboard").rglob("events.out.*"))
    left = {path.name for path in backup.rglob("*") if path.is_file()}
    assert left == {"state.weights.h5", "history.json"}

    calibrated = summary["calibration"]
    low, high = calibration.TEMPERATURES
    assert low <= calibrated["temperature"] <= high
    assert (calibrated["images"], calibrated["clips"]) == (4, 2)
    kept = keras.models.load_model(tmp_path / "run" / "model.keras")
    temperature = kept.get_layer(network.TEMPERATURE).temperature.numpy()
    assert temperature == pytest.approx(calibrated["temperature"])
    files = [str(transformed / "eval" / "part-0.gz")]
    held_back = Pictures(files, tmp_path / "pictures", SETTINGS.image_size, 1.0)
    answers = kept.predict(evaluation_data(held_back, SETTINGS.batch_size), verbose=0)
    top, right = answers.max(axis=1), answers.argmax(axis=1) == held_back.labels
    error = calibration.expected_calibration_error(top, right)
    assert error == pytest.approx(calibrated["error_after"], abs=1e-5)
    choice = calibration.choose_threshold(top, right, held_back.clips, SETTINGS.wanted_accuracy)
    assert choice.coverage == calibrated["coverage"]
    assert choice.selective_accuracy == calibrated["selective_accuracy"]

    loaded = tf.saved_model.load(str(tmp_path / "model"))
    jpeg = tf.io.encode_jpeg(np.full((50, 90, 3), 120, np.uint8)).numpy()
    gif = tf.io.encode_png(np.full((7, 5, 1), 9, np.uint8)).numpy()
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant([jpeg, gif]))
    probabilities = answer["probabilities"].numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    expected = [features.POSTURES[index].encode() for index in probabilities.argmax(axis=1)]
    assert answer["label"].numpy().tolist() == expected
    np.testing.assert_array_equal(answer["confidence"].numpy(), probabilities.max(axis=1))
    threshold = calibrated["threshold"]
    assert loaded.threshold.numpy() == pytest.approx(threshold or np.inf)
    unsure = probabilities.max(axis=1) < loaded.threshold.numpy()
    assert answer["unsure"].numpy().tolist() == unsure.tolist()

    example = tf.train.Example()
    example.features.feature[features.IMAGE].bytes_list.value.append(jpeg)
    example.features.feature[features.POSTURE].bytes_list.value.append(b"Standing")
    serialized = tf.constant([example.SerializeToString()])
    stored = loaded.signatures["serving_examples"](examples=serialized)
    # The same JPEG through both doors: the same pixels, so the same answer.
    np.testing.assert_allclose(stored["probabilities"].numpy()[0], probabilities[0], atol=1e-5)
    assert stored["unsure"].numpy().tolist() == unsure[:1].tolist()
    assert stored["label"].numpy().tolist() == expected[:1]
    for door, rows in ((answer, 2), (stored, 1)):
        assert door["model"].numpy().tolist() == [b"not pushed"] * rows
        np.testing.assert_array_equal(door["threshold"].numpy(), [loaded.threshold.numpy()] * rows)
    for name, side in ((features.WIDTH, 300), (features.HEIGHT, 500)):
        example.features.feature[name].int64_list.value.append(side)
    for name, value in zip(features.MEASURES, (99, 50, 101, 0), strict=True):
        example.features.feature[name].float_list.value.append(value)
    serialized = tf.constant([example.SerializeToString()])
    derived = loaded.signatures["transform_features"](examples=serialized)
    assert {name: value.numpy().tolist() for name, value in derived.items()} == {
        features.LABEL: [1],
        # The one training picture has brightness and sharpness 100 and 400 x 400 pixels.
        features.LIGHT: [b"dark"],
        features.FOCUS: [b"usual"],
        features.SIZE: [b"small"],
        features.COLOUR: [b"grayscale"],
    }


def test_stored_features_train_as_pictures_do(
    transformed: Path, transform_graph: Path, tmp_path: Path, base_weights: str
) -> None:
    # At a small rate: a few steps at a large one make anything of the last digit of a feature.
    given = replace(
        SETTINGS,
        base_weights=base_weights,
        head_epochs=2,
        head_learning_rate=1e-4,
        fine_tune_epochs=2,
    )
    losses, probabilities = [], []
    for cached in (True, False):
        out = tmp_path / str(cached)
        settings = replace(given, feature_cache=cached)
        trainer.run_fn(fn_args(transformed, transform_graph, out, settings, out / "backup"))
        assert bool(list(out.glob("features/*/*/rows"))) == cached
        # Three views of what is trained on, and eval as it is; float16.
        sizes = {path.stat().st_size for path in out.glob(f"features/*/{network.POOL}/rows")}
        assert sizes == ({20 * 3 * 1280 * 2, 4 * 1280 * 2} if cached else set())
        trained_phases = json.loads((out / "run" / "history.json").read_text())["phases"]
        losses.append(
            [
                row[name]
                for phase in trained_phases.values()
                for row in phase["epochs"]
                for name in ("loss", "val_loss")
            ]
        )
        trained = keras.models.load_model(out / "run" / "model.keras")
        probabilities.append(trained(np.full((1, 32, 32, 3), 90.0, np.float32)).numpy())
    # float16 keeps three digits of a feature, and training makes more of the difference.
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=2e-3)


@pytest.mark.slow
def test_another_wanted_accuracy_takes_no_training(
    transformed: Path, transform_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(phases.progress, "emit", lambda event, **fields: told.append(event))
    summaries = []
    for wanted in (0.0, 1.0):
        settings = replace(SETTINGS, scratch_epochs=1, wanted_accuracy=wanted)
        args = fn_args(transformed, transform_graph, tmp_path, settings, tmp_path / "backup")
        trainer.run_fn(args)
        summaries.append(json.loads((tmp_path / "run" / "history.json").read_text()))
    assert told.count("epoch") == 1
    assert summaries[0]["phases"] == summaries[1]["phases"]
    first, second = (summary["calibration"] for summary in summaries)
    assert first["temperature"] == second["temperature"]
    assert (first["coverage"], second["wanted_accuracy"]) == (1, 1)


class _KilledError(Exception):
    """Stands for the power going: raised in the middle of training."""


def test_interrupted_training_goes_on_in_its_epoch(
    transformed: Path,
    transform_graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backup = tmp_path / "backup"
    args = fn_args(transformed, transform_graph, tmp_path, SETTINGS, backup)
    shown: list[int] = []

    def watch(event: str, **fields: object) -> None:
        if event == "epoch":
            shown.append(int(str(fields["epoch"])))
            if shown == [1, 2]:
                raise _KilledError

    monkeypatch.setattr(phases.progress, "emit", watch)
    with pytest.raises(_KilledError):
        trainer.run_fn(args)
    assert list(backup.iterdir()), "what was trained has to outlive the interruption"
    # Its second epoch was not written down whole, so it is trained again, the first is not.
    trainer.run_fn(args)
    assert shown == [1, 2, 2, 3]
    summary = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [row["epoch"] for row in summary["phases"]["scratch"]["epochs"]] == [0, 1, 2]
