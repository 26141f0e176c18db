"""Section 1 in words: the headline and a row for each gate."""

from dataclasses import replace
from typing import Any

import pytest

from components.examples.findings import Finding
from pipeline.config import PipelineConfig
from pipeline.review import slices, summary
from pipeline.review.contents import Baseline, GateRow
from pipeline.runs.record import Record, record
from pipeline.runs.run import (
    Artifact,
    Evaluation,
    Gate,
    Run,
    ServingReport,
    SliceMetrics,
    Snapshot,
)
from schema import features
from schema.slices import SliceKey

CONFIG = PipelineConfig()
BASELINE = Baseline(7, "r1", accuracy=0.92, difference=-0.02, low=-0.05, high=0.01)
TWO: SliceKey = ((features.TRANCHE, "2"),)
SLICES = {
    (): SliceMetrics(example_count=100, accuracy=0.9, coverage=0.77, selective_accuracy=0.9),
    TWO: SliceMetrics(example_count=50, accuracy=0.74),
}
GATES = (
    Gate(kind="accuracy", value=0.9, limit=0.87, passed=True),
    Gate(kind="accuracy", place=TWO, value=0.74, limit=0.75, passed=False),
    Gate(kind="coverage", value=0.77, limit=0.5, passed=True),
    Gate(kind="no_worse", value=-0.02, limit=-0.01, passed=False),
)


def run(gates: tuple[Gate, ...] = GATES, **rest: Any) -> Run:
    judged = Run(
        snapshot=Snapshot(run_id="r2", config=CONFIG, started=0.0),
        outputs={("ValidationGate", "verdict"): Artifact(1, "", "/x", {"passed": 1}, 0, "r2", 1.0)},
        serving=ServingReport(2, ("Case 1.",)),
        read_evaluation=lambda: Evaluation(SLICES, gates),
    )
    return replace(judged, **rest)


def rows(found: Run, baseline: Baseline | None = BASELINE) -> list[GateRow]:
    parts = slices.all_slices(found.evaluation.slices) if found.evaluation else []
    return summary.gates(found, parts, baseline)


def test_each_gate_has_its_margin() -> None:
    contract, overall, tranche, coverage, comparison, serving = rows(run())
    passed = [contract, overall, tranche, coverage, comparison, serving]
    assert [row.passed for row in passed] == [True, True, False, True, False, False]
    assert "keep the contract" in contract.sentence and contract.margin is None
    assert overall.name == "Accuracy on all test images"
    assert overall.margin == pytest.approx(0.03)
    assert tranche.name == "Accuracy in tranche 2"
    assert tranche.margin == pytest.approx(-0.01)
    assert "13 of 50 images are wrong" in tranche.sentence
    assert coverage.margin == pytest.approx(0.27)
    assert coverage.sentence == (
        "The model is unsure of 23 of 100 images and right on 90.0 % of the others, fewer than"
        " the wanted 95.0 %."
    )
    assert (comparison.value, comparison.threshold) == pytest.approx((0.9, 0.91))
    assert "Model 7 of run r1" in comparison.sentence
    assert serving.sentence == "1 of 2 kinds of request went wrong: Case 1."


def test_the_verdicts_of_the_gates_are_the_evaluators() -> None:
    """No threshold is compared here: what TFMA's validation says is shown, whatever the value."""
    odd = tuple(gate.model_copy(update={"passed": not gate.passed}) for gate in GATES)
    assert [row.passed for row in rows(run(odd))][1:-1] == [False, True, False, True]


def test_without_a_model_in_service_nothing_is_compared() -> None:
    comparison = rows(run(GATES[:1]), None)[2]
    assert comparison.passed is True
    assert "nothing to compare" in comparison.sentence


def test_a_refused_run_reached_one_gate() -> None:
    refused = Run(
        snapshot=Snapshot(run_id="r2", config=CONFIG, started=0.0),
        findings=(Finding(severity="blocking", sentence="Bad."),),
    )
    found = rows(refused, None)
    assert [row.passed for row in found] == [False, None, None, None]
    assert "One finding stops the run" in found[0].sentence


def test_a_gate_that_had_nothing_to_check_is_listed_and_has_not_passed() -> None:
    ten: SliceKey = ((features.TRANCHE, "10"),)
    absent = Gate(kind="accuracy", place=ten, limit=0.75, note="Not checked: no image.")
    (row,) = [row for row in rows(run((*GATES, absent))) if row.passed is None]
    assert (row.name, row.threshold, row.value) == ("Accuracy in tranche 10", 0.75, None)
    assert row.sentence == "Not checked: no image."


def said(verdict: str) -> Record:
    return record(run()).model_copy(update={"verdict": verdict})


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (0.012, "1.2 percentage points better than the model in service"),
        (-0.02, "2.0 percentage points worse than the model in service"),
        (0.0004, "as good as the model in service"),
    ],
)
def test_the_headline_says_what_would_change(difference: float, words: str) -> None:
    overall = slices.all_slices(SLICES)[0]
    baseline = Baseline(7, "r1", 0.9, difference, None, None)
    sentence = summary.headline(said("pushed"), overall, baseline)
    assert words in sentence
    assert sentence.startswith("No gate refused the new model, and it was pushed.")
    assert "90.0 % of 100 test images" in sentence


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("superseded", "there is a newer version now"),
        ("withdrawn", "its version is gone, or no longer whole"),
        ("not_blessed", "was not pushed"),
        ("invalid_data", "nothing was trained or pushed"),
        ("failed", "Nothing was pushed."),
    ],
)
def test_the_headline_of_every_other_verdict(verdict: str, words: str) -> None:
    assert words in summary.headline(said(verdict), None, None)
