"""The verdict in words: the headline and a row for each gate."""

from dataclasses import replace
from typing import Any

import pytest

from components.examples.findings import Finding
from components.judging.decision import Comparison, Decision
from pipeline.config import PipelineConfig
from pipeline.review import slices, summary
from pipeline.review.contents import GateRow
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
from pipeline.runs.verdict import MEANINGS
from schema import features
from tests.support import decided
from tests.support.decided import LYING, LYING_IN_TWO, TWO, compared, decision, recall

SLICES = {
    (): SliceMetrics(example_count=100, accuracy=0.9, coverage=0.77, selective_accuracy=0.9),
    TWO: SliceMetrics(example_count=50, accuracy=0.74),
    LYING: SliceMetrics(example_count=30, accuracy=0.9),
}
GATES = (
    Gate(kind="accuracy", value=0.9, limit=0.87, passed=True),
    Gate(kind="accuracy", place=TWO, value=0.74, limit=0.75, passed=False),
    Gate(kind="coverage", value=0.77, limit=0.5, passed=True),
)
DIFFERS_NOT = "Not shown to differ from the model in service"
DECISION = decision(recall(90), compared(lost=20, margin=0.01, passed=False))


def run(gates: tuple[Gate, ...] = GATES, **rest: Any) -> Run:
    judged = Run(
        snapshot=Snapshot(run_id="r2", config=PipelineConfig(), started=0.0),
        outputs={("ValidationGate", "verdict"): Artifact(1, "", "/x", {"passed": 1}, 0, "r2", 1.0)},
        serving=ServingReport(2, ("Case 1.",)),
        plan=decided.plan(),
        decision=DECISION,
        read_evaluation=lambda: Evaluation(SLICES, gates),
    )
    return replace(judged, **rest)


def rows(found: Run) -> list[GateRow]:
    return summary.gates(
        found, slices.all_slices(found.evaluation.slices) if found.evaluation else []
    )


def compared_rows(*found: Comparison) -> list[GateRow]:
    return [row for row in rows(run(decision=decision(*found))) if row.against]


def test_each_gate_has_its_margin() -> None:
    contract, overall, tranche, coverage, serving, lying, comparison = rows(run())
    passed = [contract, overall, tranche, coverage, serving, lying, comparison]
    assert [row.passed for row in passed] == [True, True, False, True, False, True, False]
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
    assert serving.sentence == "1 of 2 kinds of request went wrong: Case 1."
    assert (lying.name, lying.value, lying.threshold) == ("Recall of Lying", 0.9, 0.87)
    assert lying.sentence == "3 of 30 images are taken for another posture."
    assert comparison.full_name == "All test images, against the model in service"
    assert (comparison.value, comparison.threshold) == pytest.approx((-0.02, -0.01))
    assert comparison.sentence == (
        "Cannot be told from 120 clips; 95 % interval \N{MINUS SIGN}4.0 to \N{MINUS SIGN}1.0."
    )


def test_the_verdicts_of_the_gates_are_the_components() -> None:
    """No threshold is compared here: what the component found is shown, whatever the value."""
    odd = tuple(gate.model_copy(update={"passed": not gate.passed}) for gate in GATES)
    overall = DECISION.comparisons[0].model_copy(update={"passed": True})
    lying = DECISION.recalls[0].model_copy(update={"passed": False})
    found = rows(run(odd, decision=decision(lying, overall)))
    assert [row.passed for row in found] == [True, False, True, False, False, False, True]


def test_slices_that_pass_share_a_line_with_the_lowest_and_those_that_refuse_do_not() -> None:
    tranches = [
        compared(((features.TRANCHE, name),), lost, answer=answer)
        for name, lost, answer in (("1", 10, "no_worse"), ("3", 30, "untold"))
    ]
    worse = compared(TWO, 200, answer="worse", passed=False)
    overall, refused, shared = compared_rows(compared(), *tranches, worse)
    assert (overall.name, refused.name, shared.name) == (
        "All test images",
        "Tranche 2",
        "By tranche",
    )
    assert refused.sentence.startswith("Worse; 95 % interval")
    assert (refused.value, refused.passed, shared.passed) == (-0.2, False, True)
    assert shared.value == pytest.approx(-0.03)
    assert shared.sentence.startswith("2 slices, the lowest tranche 3, with a 95 % interval of")
    assert shared.sentence.endswith("1 cannot be told to be no worse.")


def test_slices_of_few_clips_are_one_line_with_their_number() -> None:
    few = [
        compared((*TWO, (features.POSTURE, name)), clips=9, decides=False, passed=None)
        for name in features.POSTURES
    ]
    *_, last = compared_rows(compared(), *few)
    assert (last.name, last.passed, last.value) == ("Slices of few clips", None, None)
    assert last.sentence.startswith("3 slices have fewer than 100 clips")
    assert len(compared_rows(compared(), *few)) == 2


def test_what_is_only_described_is_no_gate() -> None:
    described = compared(((features.LIGHT, "dark"),), 900, margin=None, answer=None, passed=None)
    assert len(compared_rows(compared(), described)) == 1


def test_the_reference_is_told_of_once_if_it_is_the_model_in_service() -> None:
    def told(*refused: Comparison) -> list[tuple[str, bool | None]]:
        found = [compared(), compared(against="reference", margin=0.02), *refused]
        one_model = decision(*found).others["in_service"]
        same = decision(*found, others={"in_service": one_model, "reference": one_model})
        shown = [row for row in rows(run(decision=same)) if row.against == "the reference model"]
        assert "It is the model in service" in shown[0].sentence
        return [(row.name, row.passed) for row in shown]

    assert told() == [("All slices", True)]
    here = compared(LYING, 90, passed=False)
    there = here.model_copy(update={"against": "reference"})
    assert told(here, there) == [("All slices", False)]
    assert told(there) == [("All slices", False), ("Lying", False)]


def test_without_a_model_in_service_nothing_is_compared() -> None:
    *_, comparison = rows(run(decision=decision(recall(90))))
    assert comparison.passed is True
    assert "nothing to compare" in comparison.sentence


def test_a_recall_of_too_few_clips_is_not_checked() -> None:
    few = recall(20, 23, clips=23, passed=None)
    *_, row, _ = rows(run(decision=decision(few)))
    assert row.passed is None
    assert row.sentence == "Not checked: 23 clips, the plan asks for 100."


def test_a_refused_run_reached_one_gate() -> None:
    refused = Run(
        snapshot=Snapshot(run_id="r2", config=PipelineConfig(), started=0.0),
        findings=(Finding(severity="blocking", sentence="Bad."),),
    )
    found = rows(refused)
    assert [row.passed for row in found] == [False, None, None, None]
    assert "One finding stops the run" in found[0].sentence


def test_a_run_of_an_earlier_time_has_the_gates_of_its_time() -> None:
    found = rows(run(plan=None, decision=None))
    assert [row.name for row in found][-2:] == [
        "Share of test images that the model is sure of",
        "Answers real requests",
    ]


def test_a_gate_that_had_nothing_to_check_is_listed_and_has_not_passed() -> None:
    ten = ((features.TRANCHE, "10"),)
    absent = Gate(kind="accuracy", place=ten, limit=0.75, note="Not checked: no image.")
    (row,) = [row for row in rows(run((*GATES, absent))) if row.passed is None]
    assert (row.name, row.threshold, row.value) == ("Accuracy in tranche 10", 0.75, None)
    assert row.sentence == "Not checked: no image."


def said(verdict: str, found: Decision | None = DECISION) -> Record:
    return record(run(decision=found)).model_copy(update={"verdict": verdict})


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0.003, 0.039), "Better than the model in service: +2.1 points, +0.3 to +3.9."),
        (
            (-0.012, 0.053),
            "Not shown to differ from the model in service: +2.1 points, ~1.2 to +5.3.",
        ),
        (
            (-0.053, 0.0),
            "Not shown to differ from the model in service: +2.1 points, ~5.3 to +0.0.",
        ),
        ((-0.039, -0.003), "Worse than the model in service: +2.1 points, ~3.9 to ~0.3."),
    ],
)
def test_the_headline_claims_no_more_than_the_interval(
    ends: tuple[float, float], words: str
) -> None:
    overall = compared(gained=21, low=ends[0], high=ends[1])
    sentence = summary.headline(said("pushed", decision(overall)))
    words = words.replace("~", "\N{MINUS SIGN}").replace(
        " points", "\N{NARROW NO-BREAK SPACE}points"
    )
    assert sentence == f"The new model was pushed. {words}"


def test_the_headline_compares_with_the_reference_if_nothing_is_in_service() -> None:
    overall = compared(against="reference", low=0.01, high=0.02)
    assert "Better than the reference model" in summary.headline(said("pushed", decision(overall)))


def test_the_headline_of_a_first_model_says_so() -> None:
    sentence = summary.headline(said("pushed", decision(recall(90))))
    assert sentence.endswith("No model was in service to compare it with.")
    assert summary.headline(said("failed", None)).endswith("Nothing was pushed.")


def test_the_headline_says_nothing_of_a_model_that_could_not_be_compared() -> None:
    unknown = decision(recall(90), others=DECISION.others)
    assert summary.headline(said("pushed", unknown)) == "The new model was pushed."


@pytest.mark.parametrize("verdict", MEANINGS)
def test_every_verdict_has_a_headline(verdict: str) -> None:
    assert summary.headline(said(verdict, None)).endswith(".")


def test_a_slice_in_a_slice_is_named_whole() -> None:
    (_, row) = compared_rows(compared(), compared(LYING_IN_TWO, 300, answer="worse", passed=False))
    assert row.full_name == "Lying in tranche 2, against the model in service"
