"""Runs TFX's Evaluator on a model whose predictions are known, and checks figures and verdicts."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
from google.protobuf import json_format
from tfx.components.evaluator import constants
from tfx.components.evaluator.executor import Executor
from tfx.types import standard_artifacts
from tfx_bsl.coders import batch_util

from components.intervals import accuracy_interval
from components.judging.acceptance import Acceptance
from pipeline.config import PipelineConfig
from pipeline.evaluation import BATCH_SIZE, eval_config
from pipeline.runs import evaluation_result, verdict
from pipeline.runs.evaluation_result import slice_name
from pipeline.runs.run import Evaluation, Run, SliceMetrics, Snapshot, Stage
from schema import features
from tests.support.examples import Row, artifact, write_split

IMAGES = 300
THRESHOLD = 0.5


class Cases(NamedTuple):
    """Labels [n] int64, probabilities [n, 3] float32, and other columns of n images."""

    labels: np.ndarray
    probabilities: np.ndarray
    tranches: np.ndarray
    occluded: np.ndarray
    brightness: np.ndarray
    clips: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(axis=1)

    @property
    def sure(self) -> np.ndarray:
        return self.probabilities.max(axis=1) >= THRESHOLD

    def accuracy(self, where: np.ndarray | slice = slice(None)) -> float:
        return float((self.predicted == self.labels)[where].mean())


def draw_cases(images: int = IMAGES, seed: int = 7) -> Cases:
    """Draws images of three tranches, tranche 3 the hardest; one slice of one misjudged image."""
    rng = np.random.default_rng(seed)
    tranches = rng.integers(1, 4, images)
    labels = rng.integers(0, 3, images)
    right = rng.random(images) < np.array([0.0, 0.95, 0.85, 0.55])[tranches]
    top = np.where(right, labels, (labels + rng.integers(1, 3, images)) % 3)
    # Flat Dirichlet rows with the largest moved to `top`: some tops are below 0.5.
    probabilities = np.sort(rng.dirichlet([1.2] * 3, images), axis=1)
    order = np.stack([(top + 1) % 3, (top + 2) % 3, top], axis=1)
    placed = np.empty_like(probabilities)
    np.put_along_axis(placed, order, probabilities, axis=1)
    occluded = rng.choice(["Yes", "No", features.BLANK], images).astype(object)
    wrong = int(np.flatnonzero(top != labels)[0])
    occluded[wrong] = features.UNKNOWN_OCCLUSION
    # Whole numbers: no image lies on a cut point by rounding.
    brightness = rng.integers(0, 256, images).astype(np.float32)
    clips = np.array([f"clip {index // 3}" for index in range(images)])
    return Cases(labels, placed.astype(np.float32), tranches, occluded, brightness, clips)


def write_examples(cases: Cases, uri: Path) -> standard_artifacts.Examples:
    """Writes the cases as raw tf.Examples of a test split.

    The row of probabilities is in the image feature: the model of `export_model`
    reads it back from there.
    """

    def example(
        label: int, row: np.ndarray, tranche: int, occluded: str, brightness: float, clip: str
    ) -> Row:
        return {
            features.IMAGE: row.tobytes(),
            features.TRANCHE: int(tranche),
            features.POSTURE: features.POSTURES[label],
            features.OCCLUDED: occluded,
            features.CLIP: str(clip),
            features.HOW_MANY: "One",
            features.PERSON_TYPE: "Patient",
            features.BRIGHTNESS: float(brightness),
        }

    write_split(uri, features.TEST, [example(*case) for case in zip(*cases, strict=True)])
    return artifact(standard_artifacts.Examples, uri, features.TEST)


def export_model(uri: Path, shift: int = 0) -> standard_artifacts.Model:
    """Exports a model that reads its answer from the Example, rolled by `shift` classes.

    Pictures below a brightness of 100 are dark, the others usual; the other
    qualities are the same for all.

    It refuses batches above the cap. TFMA then warns and sends the images one by
    one; `evaluate` looks for the warning, so that every run is a test of the cap.
    """

    class Holder(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            tf.debugging.assert_less_equal(tf.shape(examples)[0], BATCH_SIZE)
            parsed = tf.io.parse_example(
                examples, {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}
            )
            rows = tf.io.decode_raw(parsed[features.IMAGE], tf.float32)
            probabilities = tf.roll(tf.reshape(rows, [-1, 3]), shift, axis=1)
            unsure = tf.reduce_max(probabilities, 1) < THRESHOLD
            return {"probabilities": probabilities, "unsure": unsure}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            columns = {features.POSTURE: tf.string, features.BRIGHTNESS: tf.float32}
            parsed = tf.io.parse_example(
                examples, {name: tf.io.FixedLenFeature([], kind) for name, kind in columns.items()}
            )
            matches = parsed[features.POSTURE][:, None] == tf.constant(features.POSTURES)[None]
            dark = parsed[features.BRIGHTNESS] < 100.0
            derived = {
                name: tf.fill(tf.shape(dark), values[-1])
                for name, values in features.QUALITY_VALUES.items()
            }
            light = tf.where(dark, "dark", "usual")
            return {features.LABEL: tf.argmax(matches, 1), **derived, features.LIGHT: light}

    holder = Holder()
    tf.saved_model.save(
        holder,
        str(uri / "Format-Serving"),
        signatures={
            "serving_examples": holder.serving_examples,
            "transform_features": holder.transform_features,
        },
    )
    return artifact(standard_artifacts.Model, uri)


class Warnings(logging.Handler):
    """Keeps the messages that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture(scope="module", autouse=True)
def large_batches() -> Iterator[None]:
    """Reads all images as one batch, where tfx-bsl leaves the size to Beam's stopwatch."""
    sizes = {"min_batch_size": IMAGES, "max_batch_size": IMAGES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_util, "GetBatchElementsKwargs", lambda *_: sizes)
        yield


def evaluate(
    config: PipelineConfig,
    examples: standard_artifacts.Examples,
    model: standard_artifacts.Model,
    uri: Path,
) -> tuple[bool, str]:
    """Runs the Evaluator's executor; returns whether it blessed, and the evaluation's folder."""
    judged_by = json_format.MessageToJson(eval_config(config), preserving_proto_field_name=True)
    uri.mkdir(exist_ok=True)
    (uri / "eval_config.json").write_text(judged_by)
    result, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    result.uri, blessing.uri = str(uri / "evaluation"), str(uri / "blessing")
    inputs: dict[str, list[Any]] = {"examples": [examples], "model": [model]}
    warnings = Warnings()
    logging.getLogger("absl").addHandler(warnings)
    Executor().Do(
        inputs,
        {"evaluation": [result], "blessing": [blessing]},
        {
            "eval_config": judged_by,
            "example_splits": json.dumps([features.TEST]),
            "module_path": "pipeline.evaluation",
        },
    )
    logging.getLogger("absl").removeHandler(warnings)
    assert not [message for message in warnings.messages if "Large batch_size" in message]
    blessed = blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
    return blessed == constants.BLESSED_VALUE, result.uri


class Judged(NamedTuple):
    """One finished evaluation."""

    cases: Cases
    blessed: bool
    uri: str
    metrics: dict[str, SliceMetrics]


def read_metrics(uri: str) -> dict[str, SliceMetrics]:
    return {slice_name(key): found for key, found in evaluation_result.read_slices(uri).items()}


def read(uri: str, *tranches: str) -> Evaluation:
    judged_by = Path(uri).with_name("eval_config.json").read_text()
    return evaluation_result.read(uri, judged_by, tranches)


def refusals(uri: str) -> list[str]:
    """Why a model is not pushed that nothing but this evaluation refuses."""
    run = Run(
        snapshot=Snapshot(run_id="r1", config=PipelineConfig(), started=0.0),
        components=(Stage(name="Pusher", state="ran", seconds=0.0),),
        read_evaluation=lambda: read(uri),
    )
    refused = [gate for gate in verdict.gates(run) if gate.passed is False]
    return verdict.reasons(run) if refused else []


@pytest.fixture(scope="module")
def cases() -> Cases:
    return draw_cases()


@pytest.fixture(scope="module")
def examples(cases: Cases, tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Examples:
    return write_examples(cases, tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Model:
    return export_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def run(
    cases: Cases,
    examples: standard_artifacts.Examples,
    model: standard_artifacts.Model,
    tmp_path_factory: pytest.TempPathFactory,
) -> Judged:
    """An evaluation in which tranche 3 and the coverage miss their floors."""
    config = PipelineConfig(
        data_root=Path("."),
        acceptance=Acceptance(accuracy_floor=0.7, tranche_accuracy_floor=0.75, coverage_floor=0.99),
    )
    folder = tmp_path_factory.mktemp("run")
    blessed, uri = evaluate(config, examples, model, folder)
    return Judged(cases, blessed, uri, read_metrics(uri))


CONDITIONS: dict[str, Callable[[Cases], np.ndarray]] = {
    "overall": lambda cases: np.ones(len(cases.labels), bool),
    "tranche=1": lambda cases: cases.tranches == 1,
    "tranche=3": lambda cases: cases.tranches == 3,
    "primary_occluded=(blank)": lambda cases: cases.occluded == features.BLANK,
    "primary_occluded=Unknown / Watermark": lambda cases: (
        cases.occluded == features.UNKNOWN_OCCLUSION
    ),
    "how_many=One": lambda cases: np.ones(len(cases.labels), bool),
    "staff_patient_other=Patient": lambda cases: np.ones(len(cases.labels), bool),
    "primary_posture=Lying": lambda cases: cases.labels == 2,
    "light=dark": lambda cases: cases.brightness < 100,
    "light=usual": lambda cases: cases.brightness >= 100,
    "size=usual": lambda cases: np.ones(len(cases.labels), bool),
    "tranche=2, primary_posture=Sitting": lambda cases: (cases.tranches == 2) & (cases.labels == 0),
}


def _by_clip(cases: Cases, where: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The images of each clip in a slice, and the sum of their values."""
    _, clip = np.unique(cases.clips[where], return_inverse=True)
    return np.bincount(clip).astype(float), np.bincount(clip, values[where])


@pytest.mark.parametrize("slice_name", CONDITIONS)
def test_metrics_equal_scikit_learn(run: Judged, slice_name: str) -> None:
    where = CONDITIONS[slice_name](run.cases)
    labels, probabilities = run.cases.labels[where], run.cases.probabilities[where]
    predicted = probabilities.argmax(axis=1)
    sure = run.cases.sure[where]
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=[0, 1, 2], zero_division=np.nan
    )
    expected = {
        "example_count": len(labels),
        "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
        "cross_entropy": sklearn.metrics.log_loss(labels, probabilities, labels=[0, 1, 2]),
        # Where there is one posture the mean over postures means nothing.
        "macro_f1": np.nan
        if len(set(labels)) == 1
        else sklearn.metrics.f1_score(labels, predicted, average="macro"),
        "coverage": sure.mean(),
        "selective_accuracy": sklearn.metrics.accuracy_score(labels[sure], predicted[sure])
        if sure.any()
        else np.nan,
    }
    found = run.metrics[slice_name]
    for name, value in expected.items():
        number = getattr(found, name)
        number = np.nan if number is None else number
        assert number == pytest.approx(value, abs=1e-5, nan_ok=True), name
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        numbers = [getattr(found, name)[posture] for posture in features.POSTURES]
        numbers = [np.nan if number is None else number for number in numbers]
        assert numbers == pytest.approx(list(values), abs=1e-5, nan_ok=True), name
    matrix = sklearn.metrics.confusion_matrix(labels, predicted, labels=[0, 1, 2])
    assert found.confusion_matrix == matrix.tolist()


def test_a_tranche_without_a_test_image_has_a_gate_that_is_not_checked(run: Judged) -> None:
    found = read(run.uri, "1", "2", "3", "2b", "10", "0").gates
    by_tranche = {gate.place[0][1]: gate for gate in found if gate.place}
    assert list(by_tranche) == ["0", "1", "2", "2b", "3", "10"]
    for name, gate in by_tranche.items():
        assert gate.limit == 0.75
        if name in ("0", "2b", "10"):
            assert (gate.passed, gate.value) == (None, None) and "Not checked" in gate.note
        else:
            assert gate.passed is (name != "3") and gate.value is not None
    assert [gate for gate in found if gate.place != () and gate.passed is not None] == [
        gate for gate in read(run.uri).gates if gate.place
    ]


def test_every_slice_is_there_in_a_readable_order(run: Judged) -> None:
    names = list(run.metrics)
    assert names[0] == "overall"
    assert [n for n in names if n.startswith("tranche=") and "," not in n] == [
        "tranche=1",
        "tranche=2",
        "tranche=3",
    ]
    assert sum(", primary_posture=" in name for name in names) == 9
    assert names[-5:] == ["light=dark", "light=usual", "focus=usual", "size=usual", "colour=colour"]
    assert len(names) == 1 + 3 + 4 + 1 + 1 + 3 + 9 + 5


@pytest.mark.parametrize("slice_name", CONDITIONS)
def test_bounds_are_those_of_the_slices_clips(run: Judged, slice_name: str) -> None:
    found = run.metrics[slice_name]
    right = run.cases.predicted == run.cases.labels
    expected = accuracy_interval(*_by_clip(run.cases, CONDITIONS[slice_name](run.cases), right))
    low, high = found.accuracy_low, found.accuracy_high
    assert (low, high) == pytest.approx(expected)
    assert 0 <= low <= found.accuracy + 1e-6
    assert found.accuracy - 1e-6 <= high <= 1


def test_what_is_below_its_floor_refuses_and_other_slices_do_not(run: Judged) -> None:
    tranche_3 = run.cases.accuracy(run.cases.tranches == 3)
    count = int((run.cases.tranches == 3).sum())
    assert tranche_3 < 0.75 < run.cases.accuracy(run.cases.tranches == 2)
    assert run.metrics["tranche=3, primary_posture=Sitting"].accuracy < 0.75
    assert run.metrics["primary_occluded=Unknown / Watermark"].accuracy == 0.0

    assert not run.blessed
    assert sorted(refusals(run.uri)) == [
        f"Accuracy in tranche 3 is {tranche_3:.2f} of {count} images, below the floor of 0.75.",
        f"The model is sure of {run.cases.sure.mean():.2f} of {IMAGES} images overall, below the"
        " coverage floor of 0.99.",
    ]


def test_floors_that_are_met_exactly_bless(
    cases: Cases,
    examples: standard_artifacts.Examples,
    model: standard_artifacts.Model,
    run: Judged,
    tmp_path: Path,
) -> None:
    covered = float(cases.sure.mean())
    assert min(part.coverage for part in run.metrics.values()) < covered
    config = PipelineConfig(
        data_root=Path("."),
        acceptance=Acceptance(
            accuracy_floor=cases.accuracy(),
            tranche_accuracy_floor=cases.accuracy(cases.tranches == 3),
            coverage_floor=covered,
        ),
    )
    blessed, uri = evaluate(config, examples, model, tmp_path)
    assert blessed
    assert refusals(uri) == []


def test_below_the_overall_floor(
    cases: Cases, examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    """The candidate's answers are moved to the next class."""
    candidate = export_model(tmp_path / "candidate", shift=1)
    config = PipelineConfig(
        data_root=Path("."),
        acceptance=Acceptance(accuracy_floor=0.7, tranche_accuracy_floor=0.0),
    )
    blessed, uri = evaluate(config, examples, candidate, tmp_path)

    moved = float(((cases.predicted + 1) % 3 == cases.labels).mean())
    assert not blessed
    assert read_metrics(uri)["overall"].accuracy == pytest.approx(moved)
    assert refusals(uri) == [
        f"Accuracy overall is {moved:.2f} of {IMAGES} images, below the floor of 0.70."
    ]
