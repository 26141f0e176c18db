"""Whole runs on small drawn tranches: pushed, cached, not blessed, refused."""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.examples import parquet
from schema import features
from tests.support.running import ANEW, FLOORS, SETTINGS, Command, Ended, text_of

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
    "ModelInService",
    "Evaluator",
    "ServingCheck",
    "Predictor",
    "Pusher",
    "ReviewPage",
]


def test_first_run_is_pushed(whole_run: Ended) -> None:
    assert whole_run.status == 0, whole_run.text
    assert whole_run.record["verdict"] == "pushed"
    assert {whole_run.states[name] for name in COMPONENTS} == {"ran"}
    pushed = Path(whole_run.record["paths"]["pushed"])
    assert pushed.parent == whole_run.out / "serving" / "posture" and pushed.name.isdigit()
    assert (pushed / "saved_model.pb").exists()
    assert str(whole_run.out) in whole_run.text, "the last lines say where things are"


def test_what_ingestion_warns_of_is_said_everywhere(whole_run: Ended) -> None:
    warning = "Not read, but nearly named as one of a tranche: tranch4_labels (1).csv in "
    assert any(each["sentence"].startswith(warning) for each in whole_run.record["findings"])
    assert warning in " ".join(whole_run.text.split())
    page = " ".join(whole_run.page_text.split())
    assert page.index(warning) < page.index("Accuracy"), "before all figures"


def test_nothing_is_lost_between_tables_and_splits(whole_run: Ended, tranches: Path) -> None:
    named = set()
    for table in tranches.glob("*_labels.csv"):
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                named.add(row.get("file_name") or row["final_url"])
    rejected = set()
    for table in (whole_run.out / "data").rglob("rejects.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            rejected |= {row["file_name"] for row in csv.DictReader(file)}
    examples = whole_run.examples
    stored = {text_of(e, features.FILE_NAME) for split in examples.values() for e in split}
    assert named <= stored | rejected
    assert not stored & rejected
    counts = whole_run.record["counts"]
    assert counts["splits"] == {split: len(found) for split, found in examples.items()}
    assert counts["images"] == sum(map(len, examples.values())) == len(stored)


def test_no_clip_is_on_two_sides(whole_run: Ended) -> None:
    examples = whole_run.examples
    sides: dict[str, set[str]] = {}
    for split in (features.TRAIN, features.EVAL, features.TEST):
        for example in examples[split]:
            sides.setdefault(text_of(example, features.CLIP), set()).add(split)
            assert text_of(example, features.POSTURE) in features.POSTURES
    assert len(sides) > 50
    assert [clip for clip, found in sides.items() if len(found) > 1] == []
    unselected = {text_of(example, features.POSTURE) for example in examples[features.UNSELECTED]}
    assert unselected <= {features.UNKNOWN_POSTURE, features.BLANK}


def test_record_says_what_tfma_found(whole_run: Ended) -> None:
    result = tfma.load_eval_result(whole_run.record["paths"]["evaluation"])
    tfma_accuracy = {
        dict(key).get(features.TRANCHE): value[""][""]["accuracy"]["doubleValue"]
        for key, value in result.slicing_metrics
        if [name for name, _ in key] in ([], [features.TRANCHE])
    }
    assert set(tfma_accuracy) == {None, "1", "2", "3"}
    assert whole_run.record["accuracy"] == tfma_accuracy[None]
    metrics = whole_run.record["metrics"]
    for tranche in ("1", "2", "3"):
        assert metrics[f"tranche={tranche}"]["accuracy"] == tfma_accuracy[tranche]


def test_a_tranche_without_a_test_image_is_named_wherever_the_gates_are(whole_run: Ended) -> None:
    by_tranche = {
        gate["place"][0][1]: gate
        for gate in whole_run.record["gates"]
        if gate["place"] and gate["kind"] == "accuracy"
    }
    assert list(by_tranche) == ["1", "2", "3", "10"]
    assert [gate["passed"] for gate in by_tranche.values()] == [True, True, True, None]
    sentences = [each["sentence"] for each in whole_run.record["findings"]]
    for words in ("Tranche 10 has no image in split test", "Tranche 10 has no Lying image"):
        assert any(sentence.startswith(words) for sentence in sentences)
        assert words in whole_run.text and words in whole_run.page_text
    assert "Accuracy in tranche 10 ○ Not checked" in whole_run.page_text
    assert "not checked" in next(
        line for line in whole_run.text.splitlines() if "tranche 10" in line
    )


def test_unsure_is_one_answer_everywhere(whole_run: Ended) -> None:
    """The history, the pushed model, the table of predictions and TFMA name one threshold."""
    history = Path(whole_run.record["paths"]["training"]) / "history.json"
    fitted = json.loads(history.read_text(encoding="utf-8"))["calibration"]
    pushed = tf.saved_model.load(whole_run.record["paths"]["pushed"])
    expected = math.inf if fitted["threshold"] is None else fitted["threshold"]
    assert pushed.threshold.numpy() == pytest.approx(expected)
    predictions = parquet.read(whole_run.artifact("Predictor", "predictions"), parquet.PREDICTIONS)
    confidence = predictions[list(features.POSTURES)].max(axis=1)
    assert predictions[features.UNSURE].equals(confidence < pushed.threshold.numpy())
    coverage = whole_run.record["metrics"]["overall"]["coverage"]
    assert coverage == pytest.approx(1 - predictions[features.UNSURE].mean())


def test_an_unchanged_rerun_is_cached(rerunnable: Ended, command: Command, tranches: Path) -> None:
    served = sorted((rerunnable.out / "serving" / "posture").iterdir())
    again = command.run(rerunnable.out, "--data-root", str(tranches), **SETTINGS)
    again.assert_as_good_as(rerunnable)
    assert again.ran == ANEW
    assert sorted((rerunnable.out / "serving" / "posture").iterdir()) == served


def test_floors_out_of_reach_rerun_the_judge_alone_and_stop_the_push(
    rerunnable: Ended, command: Command, tranches: Path
) -> None:
    served = sorted(path.name for path in (rerunnable.out / "serving" / "posture").iterdir())
    strict = {
        **SETTINGS,
        "acceptance": {**FLOORS, "accuracy_floor": 1.01, "coverage_floor": 1.01},
    }
    ended = command.run(rerunnable.out, "--data-root", str(tranches), **strict)
    assert ended.status == 3, ended.text
    assert ended.record["verdict"] == "not_blessed"
    accuracy, coverage = sorted(ended.record["reasons"])
    assert accuracy.endswith("below the floor of 1.01.")
    assert coverage.endswith("below the coverage floor of 1.01.")
    assert accuracy in ended.page_text and coverage in ended.page_text
    assert ended.ran == ANEW | {"AcceptancePlan", "Evaluator", "AcceptanceGate"}
    assert (
        sorted(path.name for path in (rerunnable.out / "serving" / "posture").iterdir()) == served
    )


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


def test_predict_answers_for_the_pushed_model(whole_run: Ended, command: Command) -> None:
    names = [
        text_of(example, features.FILE_NAME) for example in whole_run.examples[features.TEST][:2]
    ]
    images = [next((whole_run.out / "data" / "images").rglob(name)) for name in names]
    asked = command.call(
        *("-m", "pipeline.commands.script", "predict", *images),
        *("--output-root", whole_run.out, "--json"),
        out=whole_run.out,
    )
    answers = [json.loads(line) for line in asked.text.splitlines() if line.startswith("{")]
    assert len(answers) == 2, asked.text
    for answer in answers:
        assert answer["label"] in features.POSTURES
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert isinstance(answer["unsure"], bool)


def test_status_lists_runs_models_and_blessings(whole_run: Ended, command: Command) -> None:
    shown = command.call(
        "-m",
        "pipeline.commands.script",
        "status",
        "--output-root",
        whole_run.out,
        "--json",
        out=whole_run.out,
    )
    assert shown.status == 0, shown.text
    assert whole_run.record["run_id"] in shown.text
