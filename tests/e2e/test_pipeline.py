"""Whole runs on small drawn tranches: pushed, cached, not blessed, refused."""

import csv
import json
import math
import shutil
import time
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.examples import parquet
from schema import features
from tests.support.running import SETTINGS, Command, Ended

COMPONENTS = [
    "TrancheExampleGen",
    "StatisticsGen",
    "ImageTable",
    "SchemaGen",
    "CuratedSchema",
    "ExampleValidator",
    "ValidationGate",
    "Transform",
    "Trainer",
    "LatestBlessedModel",
    "Evaluator",
    "ServingCheck",
    "Predictor",
    "Pusher",
    "ReviewPage",
]


def _examples(first: Ended) -> dict[str, list[tf.train.Example]]:
    (folder,) = (first.out / "artifacts" / "TrancheExampleGen" / "examples").iterdir()
    return {
        split.name.removeprefix("Split-"): [
            tf.train.Example.FromString(record)
            for record in tf.data.TFRecordDataset(
                [str(path) for path in split.iterdir()], "GZIP"
            ).as_numpy_iterator()
        ]
        for split in folder.glob("Split-*")
    }


def _text(example: tf.train.Example, name: str) -> str:
    return example.features.feature[name].bytes_list.value[0].decode()


def test_first_run_is_pushed(first: Ended) -> None:
    assert first.status == 0, first.text
    assert first.record["verdict"] == "pushed"
    assert {first.states[name] for name in COMPONENTS} == {"ran"}
    pushed = Path(first.record["paths"]["pushed"])
    assert pushed.parent == first.out / "serving" / "posture" and pushed.name.isdigit()
    assert (pushed / "saved_model.pb").exists()
    assert str(first.out) in first.text, "the last lines say where things are"


def test_nothing_is_lost_between_tables_and_splits(first: Ended, tranches: Path) -> None:
    named = set()
    for table in tranches.glob("*_labels.csv"):
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                named.add(row.get("file_name") or row["final_url"])
    rejected = set()
    for table in (first.out / "data").rglob("rejects.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            rejected |= {row["file_name"] for row in csv.DictReader(file)}
    examples = _examples(first)
    stored = {_text(e, features.FILE_NAME) for split in examples.values() for e in split}
    assert named <= stored | rejected
    assert not stored & rejected
    counts = first.record["counts"]
    assert counts["splits"] == {split: len(found) for split, found in examples.items()}
    assert counts["images"] == sum(map(len, examples.values())) == len(stored)


def test_no_clip_is_on_two_sides(first: Ended) -> None:
    examples = _examples(first)
    sides: dict[str, set[str]] = {}
    for split in (features.TRAIN, features.EVAL, features.TEST):
        for example in examples[split]:
            sides.setdefault(_text(example, features.CLIP), set()).add(split)
            assert _text(example, features.POSTURE) in features.POSTURES
    assert len(sides) > 50
    assert [clip for clip, found in sides.items() if len(found) > 1] == []
    unselected = {_text(example, features.POSTURE) for example in examples[features.UNSELECTED]}
    assert unselected <= {features.UNKNOWN_POSTURE, features.BLANK}


def test_record_says_what_tfma_found(first: Ended) -> None:
    (evaluation,) = (first.out / "artifacts" / "Evaluator" / "evaluation").iterdir()
    result = tfma.load_eval_result(str(evaluation))
    tfma_accuracy = {
        dict(key).get(features.TRANCHE): value[""][""]["accuracy"]["doubleValue"]
        for key, value in result.slicing_metrics
        if [name for name, _ in key] in ([], [features.TRANCHE])
    }
    assert set(tfma_accuracy) == {None, "1", "2", "3"}
    assert first.record["accuracy"] == tfma_accuracy[None]
    metrics = first.record["metrics"]
    for tranche in ("1", "2", "3"):
        assert metrics[f"tranche={tranche}"]["accuracy"] == tfma_accuracy[tranche]


def test_unsure_is_one_answer_everywhere(first: Ended) -> None:
    """The history, the pushed model, the table of predictions and TFMA name one threshold."""
    history = Path(first.record["paths"]["training"]) / "history.json"
    fitted = json.loads(history.read_text(encoding="utf-8"))["calibration"]
    pushed = tf.saved_model.load(first.record["paths"]["pushed"])
    expected = math.inf if fitted["threshold"] is None else fitted["threshold"]
    assert pushed.threshold.numpy() == pytest.approx(expected)
    (folder,) = (first.out / "artifacts" / "Predictor" / "predictions").iterdir()
    predictions = parquet.read(folder)
    confidence = predictions[list(features.POSTURES)].max(axis=1)
    assert predictions[features.UNSURE].equals(confidence < pushed.threshold.numpy())
    coverage = first.record["metrics"]["overall"]["coverage"]
    assert coverage == pytest.approx(1 - predictions[features.UNSURE].mean())


def test_unchanged_rerun_is_cached_and_quick(
    first: Ended, command: Command, tranches: Path
) -> None:
    served = sorted((first.out / "serving" / "posture").iterdir())
    started = time.monotonic()
    again = command.run(first.out, "--data-root", str(tranches), **SETTINGS)
    seconds = time.monotonic() - started
    assert again.status == 0, again.text
    ran = [name for name in COMPONENTS if again.states[name] == "ran"]
    # A resolver asks the database each time; that is all it does. The page tells of this run.
    assert set(ran) <= {"LatestBlessedModel", "ReviewPage"}
    assert sorted((first.out / "serving" / "posture").iterdir()) == served
    assert seconds < 120, "half of it is room for a busy machine"


def test_a_floor_out_of_reach_reruns_the_judge_alone_and_stops_the_push(
    first: Ended, command: Command, tranches: Path
) -> None:
    served = sorted(path.name for path in (first.out / "serving" / "posture").iterdir())
    strict = {**SETTINGS, "accuracy_floor": 1.01}
    ended = command.run(first.out, "--data-root", str(tranches), **strict)
    assert ended.status == 3, ended.text
    assert ended.record["verdict"] == "not_blessed"
    assert any("1.01" in reason for reason in ended.record["reasons"])
    assert all(reason in ended.page_text for reason in ended.record["reasons"])
    ran = {name for name in COMPONENTS if ended.states[name] == "ran"}
    assert ran - {"LatestBlessedModel"} == {"Evaluator", "Pusher", "ReviewPage"}
    assert sorted(path.name for path in (first.out / "serving" / "posture").iterdir()) == served


def test_a_coverage_out_of_reach_reruns_the_judge_alone_and_stops_the_push(
    first: Ended, command: Command, tranches: Path
) -> None:
    strict = {**SETTINGS, "coverage_floor": 1.01}
    ended = command.run(first.out, "--data-root", str(tranches), **strict)
    assert ended.status == 3, ended.text
    (reason,) = ended.record["reasons"]
    assert reason.endswith("below the coverage floor of 1.01.")
    assert reason in ended.page_text
    ran = {name for name in COMPONENTS if ended.states[name] == "ran"}
    assert ran - {"LatestBlessedModel"} == {"Evaluator", "Pusher", "ReviewPage"}


def test_a_tranche_without_a_class_is_refused_before_training(
    command: Command, tranches: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(tranches, tmp_path / "tranches")
    table = data / "tranch2_labels.csv"
    text = table.read_text(encoding="utf-8-sig").replace(",Lying,", ",Unknown,")
    table.write_text(text, encoding="utf-8-sig")
    ended = command.run(tmp_path / "out", "--data-root", str(data), **SETTINGS)
    assert ended.status == 4, ended.text
    assert ended.record["verdict"] == "invalid_data"
    assert any("Tranche 2 has no Lying image" in reason for reason in ended.record["reasons"])
    assert "Tranche 2 has no Lying image" in " ".join(ended.text.split())
    assert ended.states["ValidationGate"] == "ran"
    assert "Tranche 2 has no Lying image" in ended.page_text
    after = COMPONENTS[COMPONENTS.index("ValidationGate") + 1 : -1]
    assert {ended.states[name] for name in after} == {"skipped"}


def test_an_unknown_label_names_file_and_row(
    command: Command, tranches: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(tranches, tmp_path / "tranches")
    table = data / "tranch3_labels.csv"
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    row = next(n for n, line in enumerate(lines) if ",Sitting," in line)
    lines[row] = lines[row].replace(",Sitting,", ",Kneeling,")
    table.write_text("\n".join(lines), encoding="utf-8-sig")
    ended = command.run(tmp_path / "out", "--data-root", str(data), **SETTINGS)
    assert ended.status == 4, ended.text
    shown = " ".join(ended.text.split())
    assert "Kneeling" in shown and "tranch3_labels.csv" in shown and str(row + 1) in shown
    assert "Traceback" not in ended.text
    assert not (tmp_path / "out" / "artifacts").exists()
    assert "Kneeling" in ended.page_text


def test_predict_answers_for_the_pushed_model(first: Ended, command: Command) -> None:
    names = [_text(example, features.FILE_NAME) for example in _examples(first)[features.TEST][:2]]
    images = [next((first.out / "data" / "images").rglob(name)) for name in names]
    asked = command.call(
        "-m", "pipeline.commands.cli", "predict", *images, "--output-root", first.out, "--json",
        out=first.out,
    )  # fmt: skip
    answers = [json.loads(line) for line in asked.text.splitlines() if line.startswith("{")]
    assert len(answers) == 2, asked.text
    for answer in answers:
        assert answer["label"] in features.POSTURES
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert isinstance(answer["unsure"], bool)


def test_status_lists_runs_models_and_blessings(first: Ended, command: Command) -> None:
    shown = command.call(
        "-m", "pipeline.commands.cli", "status", "--output-root", first.out, "--json", out=first.out
    )
    assert shown.status == 0, shown.text
    assert first.record["run_id"] in shown.text


@pytest.mark.slow
def test_tuner_stands_before_the_trainer_where_minutes_are_given(
    first: Ended, command: Command, tranches: Path
) -> None:
    # So little time is one trial: the settings as they are.
    tuned = {**SETTINGS, "tuning_minutes": 0.01, "max_accuracy_drop": 1.0}
    ended = command.run(first.out, "--data-root", str(tranches), **tuned)
    assert ended.status == 0, ended.text
    ran = [name for name, state in ended.states.items() if state == "ran"]
    assert ran.index("Tuner") == ran.index("Trainer") - 1 and "Transform" not in ran
    assert "trial 1: eval loss" in ended.text
    (results,) = (first.out / "artifacts" / "Tuner" / "tuner_results").rglob("*.json")
    (trial,) = json.loads(results.read_text(encoding="utf-8"))
    history = Path(ended.record["paths"]["training"]) / "history.json"
    settings = json.loads(history.read_text(encoding="utf-8"))["settings"]
    assert settings["mixup"] == trial["mixup"]
    again = command.run(first.out, "--data-root", str(tranches), **tuned)
    assert (again.states["Tuner"], again.states["Trainer"]) == ("cached", "cached")
