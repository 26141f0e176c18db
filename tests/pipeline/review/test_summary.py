"""Gates and sentences of section 1."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import PipelineConfig
from pipeline.review import summary
from pipeline.review.contents import Baseline, Slice
from pipeline.runs.lineage import Artifact, Outputs
from pipeline.runs.record import Finding, Outcome
from pipeline.runs.snapshot import Snapshot
from schema import features

CONFIG = PipelineConfig(accuracy_floor=0.87, tranche_accuracy_floor=0.75, max_accuracy_drop=0.01)
BASELINE = Baseline(7, "r1", accuracy=0.92, difference=-0.02, low=-0.05, high=0.01)


def part(
    name: str, count: int, accuracy: float, coverage: float | None = None, **cut: str
) -> Slice:
    return Slice(
        columns=tuple(cut),
        values=tuple(cut.values()),
        name=name,
        count=count,
        accuracy=accuracy,
        low=None,
        high=None,
        macro_f1=accuracy,
        recall={},
        precision={},
        calibration_error=0.1,
        coverage=coverage,
        selective_accuracy=0.987 if coverage else None,
        difference=None,
        difference_low=None,
        difference_high=None,
        confusion=[[0] * 3] * 3,
    )


ALL = part("all test images", 100, 0.9)
TWO = part("tranche 2", 50, 0.74, tranche="2")
LYING = part("Lying", 30, 0.1, **{features.POSTURE: "Lying"})


def outputs(folder: Path, *answers: bool) -> Outputs:
    """A gate that passed and a serving check with these answers."""
    cases = [{"passed": answer, "sentence": f"Case {n}."} for n, answer in enumerate(answers)]
    (folder / "report.json").write_text(json.dumps({"cases": cases}))
    found: dict[tuple[str, str], dict[str, Any]] = {
        ("ValidationGate", "verdict"): {"passed": 1},
        ("ServingCheck", "blessing"): {"blessed": int(all(answers))},
    }
    return {key: Artifact(1, "", str(folder), values, 0) for key, values in found.items()}


def outcome(name: str, **fields: Any) -> Outcome:
    return Outcome(run_id="r2", verdict=name, demo=False, **fields)


def test_each_gate_has_its_margin(tmp_path: Path) -> None:
    gates = summary.gates(
        CONFIG, outcome("not_blessed"), outputs(tmp_path, True, False), [ALL, TWO, LYING], BASELINE
    )
    assert [gate.passed for gate in gates] == [True, True, False, False, False]
    contract, overall, tranche, comparison, serving = gates
    assert "keep to the contract" in contract.sentence and contract.margin is None
    assert overall.margin == pytest.approx(0.03)
    assert tranche.name == "Accuracy in tranche 2"
    assert tranche.margin == pytest.approx(-0.01)
    assert "13 of 50 images are wrong" in tranche.sentence
    assert (comparison.value, comparison.threshold) == pytest.approx((0.9, 0.91))
    assert "Model 7 of run r1" in comparison.sentence
    assert serving.sentence == "1 of 2 kinds of request went wrong: Case 1."


def test_a_value_at_its_floor_passes(tmp_path: Path) -> None:
    at_floor = part("all test images", 100, 1 - 0.13)
    gates = summary.gates(
        CONFIG, outcome("pushed"), outputs(tmp_path, True), [at_floor], baseline=None
    )
    assert [gate.passed for gate in gates] == [True] * 4
    assert "nothing to compare" in gates[2].sentence


@pytest.mark.parametrize(
    ("coverage", "passed", "words"),
    [
        (0.77, True, "unsure of 23 of 100 images and right on 98.7 % of the others."),
        (CONFIG.coverage_floor, True, "and right on"),
        (0.0, False, "unsure of 100 of 100 images."),
    ],
)
def test_a_model_that_is_seldom_sure_does_not_pass(
    tmp_path: Path, coverage: float, passed: bool, words: str
) -> None:
    slices = [
        part("all test images", 100, 0.9, coverage),
        part("tranche 2", 9, 0.9, 0.0, tranche="2"),
    ]
    gates = summary.gates(CONFIG, outcome("pushed"), outputs(tmp_path, True), slices, None)
    (gate,) = [gate for gate in gates if "is sure of" in gate.name]
    assert (gate.value, gate.threshold) == (coverage, CONFIG.coverage_floor)
    assert gate.passed is passed
    assert words in gate.sentence


def test_a_model_that_is_sure_too_often_is_told_of(tmp_path: Path) -> None:
    slices = [replace(part("all test images", 100, 0.9, 0.8), selective_accuracy=0.9)]
    gates = summary.gates(CONFIG, outcome("pushed"), outputs(tmp_path, True), slices, None)
    (gate,) = [gate for gate in gates if "is sure of" in gate.name]
    assert gate.passed, "coverage is what is gated"
    assert "right on 90.0 % of the others, fewer than the wanted 95.0 %." in gate.sentence


def test_a_refused_run_reached_one_gate() -> None:
    refused = outcome("invalid_data", findings=[Finding(severity="blocking", sentence="Bad.")])
    gates = summary.gates(CONFIG, refused, {}, [], None)
    assert [gate.passed for gate in gates] == [False, None, None, None]
    assert "One finding stops the run" in gates[0].sentence


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (0.012, "1.2 percentage points better than the model in service"),
        (-0.02, "2.0 percentage points worse than the model in service"),
        (0.0004, "as good as the model in service"),
    ],
)
def test_the_sentence_says_what_would_change(difference: float, words: str) -> None:
    baseline = Baseline(7, "r1", 0.9, difference, None, None)
    run = Snapshot(run_id="r2", config=CONFIG, started=0)
    facts = summary.run_facts(run, outcome("pushed"), ALL, baseline)
    assert words in facts.sentence
    assert facts.sentence.startswith("The new model passed every gate and was pushed.")
    assert "90.0 % of 100 test images" in facts.sentence
    assert facts.started == "1970-01-01T00:00:00+00:00"
