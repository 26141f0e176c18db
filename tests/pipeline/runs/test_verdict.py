"""The verdict and its reasons, from `Run`s made by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.examples.findings import Finding
from components.judging.decision import Comparison, Recall
from components.serving.versions import Origin, SignOff, SignOffKind, Version
from pipeline.config import PipelineConfig
from pipeline.runs import verdict
from pipeline.runs.run import (
    Artifact,
    Evaluation,
    Gate,
    Run,
    ServingReport,
    SliceMetrics,
    Snapshot,
    Stage,
)
from schema import features
from schema.slices import SliceKey
from tests.support import decided
from tests.support.decided import LYING, LYING_IN_TWO, TWO, compared, decision, recall


def artifact(properties: dict[str, Any] | None = None, number: int = 1) -> Artifact:
    return Artifact(number, "", "/nowhere", properties or {}, 1000 + number, "r1", 1.0)


def version(number: int, model: int) -> Version:
    origin = Origin(run_id="r1", model_id=model, model_created=1000 + model)
    return Version(number, Path(f"/serving/{number}"), origin)


def run(
    *, failure: str = "", refused: bool = False, states: dict[str, str] | None = None, **rest: Any
) -> Run:
    snapshot = Snapshot(
        run_id="r1", config=PipelineConfig(), started=0.0, refused=refused, failure=failure
    )
    stages = [
        Stage(name=name, state=state, seconds=1.0)  # type: ignore[arg-type]
        for name, state in (states or {}).items()
    ]
    return Run(snapshot=snapshot, components=tuple(stages), **rest)


def signed(kind: SignOffKind, run_id: str = "r1") -> SignOff:
    return SignOff(
        kind=kind,
        by="Ada Byron",
        reason="it misses falls",
        time=1_795_880_094_178,
        run_id=run_id,
        model_id=9,
        model_created=1009,
        version=5,
        withdrawn_version=4,
        withdrawn_id=1,
        withdrawn_created=1001,
    )


MODEL = {("Trainer", "model"): artifact()}
AWAITS = MODEL | {("Pusher", "pushed_model"): artifact({"pushed": 0, "awaits_sign_off": 1})}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (run(), "unfinished"),
        (run(states={"Trainer": "running"}), "unfinished"),
        (run(states={"Trainer": "failed"}), "failed"),
        (run(failure="The user stopped the run."), "failed"),
        (run(states={"Pusher": "ran", "ReviewPage": "running"}), "not_blessed"),
        (run(states={"Pusher": "ran", "ReviewPage": "failed"}, failure="no ink"), "not_blessed"),
        (run(refused=True, failure="Kneeling."), "invalid_data"),
        (run(outputs={("ValidationGate", "verdict"): artifact({"passed": 0})}), "invalid_data"),
        (
            run(outputs=MODEL, pushed=5, versions=(version(5, 1),), failure="killed"),
            "pushed",
        ),
        (run(outputs=MODEL, pushed=5, versions=(version(5, 1), version(6, 2))), "superseded"),
        (run(outputs=MODEL, pushed=5, versions=(version(4, 2),)), "withdrawn"),
        (
            run(outputs=MODEL, pushed=5, versions=(version(4, 2), version(7, 1))),
            "pushed",
        ),
        (run(outputs=MODEL, pushed=5), "withdrawn"),
        (run(outputs=AWAITS, states={"Pusher": "ran"}), "awaiting_sign_off"),
        (run(outputs=AWAITS, sign_offs=(signed("rejected"),)), "rejected"),
        (run(outputs=AWAITS, sign_offs=(signed("rolled_back", "r2"),)), "awaiting_sign_off"),
        (
            run(
                outputs=AWAITS, sign_offs=(signed("approved"),), pushed=5, versions=(version(5, 1),)
            ),
            "pushed",
        ),
        (run(outputs=AWAITS, sign_offs=(signed("approved"),), pushed=5), "withdrawn"),
    ],
)
def test_verdicts(found: Run, expected: str) -> None:
    assert verdict.verdict(found) == expected
    assert bool(verdict.reasons(found)) == (expected != "pushed")
    assert expected in verdict.MEANINGS


@given(
    page=st.sampled_from(["ran", "failed", "skipped", "running"]),
    others=st.fixed_dictionaries(
        {name: st.sampled_from(["ran", "cached", "failed", "skipped"]) for name in ("A", "Pusher")}
    ),
)
def test_the_page_never_counts(page: str, others: dict[str, str]) -> None:
    with_page = run(states=others | {"ReviewPage": page}, outputs=MODEL)
    without = run(states=others, outputs=MODEL)
    assert verdict.verdict(with_page) == verdict.verdict(without)


def metrics(count: int, accuracy: float, **rest: Any) -> SliceMetrics:
    return SliceMetrics(example_count=count, accuracy=accuracy, **rest)


@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        (
            Gate(kind="accuracy", value=0.86, limit=0.87, passed=False),
            "Accuracy overall is 0.86 of 100 images, below the floor of 0.87.",
        ),
        (
            Gate(kind="accuracy", place=TWO, value=0.7496, limit=0.75, passed=False),
            "Accuracy in tranche 2 is 0.7496 of 1 image, below the floor of 0.7500.",
        ),
        (
            Gate(kind="coverage", value=0.25, limit=0.5, passed=False),
            "The model is sure of 0.25 of 100 images overall, below the coverage floor of 0.50.",
        ),
        (
            Gate(kind="accuracy", place=((features.TRANCHE, ""),), limit=0.75, passed=False),
            "There was no image in the test split to measure accuracy by tranche on.",
        ),
        (
            Gate(kind="coverage", limit=0.5, passed=False, note="no such metric"),
            "Coverage overall could not be judged: no such metric",
        ),
    ],
)
def test_a_gate_that_did_not_pass_gives_a_reason(gate: Gate, sentence: str) -> None:
    evaluation = Evaluation({(): metrics(100, 0.86), TWO: metrics(1, 0.7496)}, (gate,))
    found = run(states={"Pusher": "ran"}, read_evaluation=lambda: evaluation)
    assert verdict.reasons(found) == [sentence]


def refused(*found: Recall | Comparison, **rest: Any) -> Run:
    return run(states={"Pusher": "ran"}, plan=decided.plan(), decision=decision(*found, **rest))


WORSE: dict[str, Any] = {"answer": "worse", "passed": False}


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            compared(LYING_IN_TWO, 610, low=-0.7, high=-0.52, **WORSE),
            "Lying in tranche 2: 61.0 points worse than the model in service (52.0 to 70.0 worse),"
            " proven; 5.0 points are allowed.",
        ),
        (
            compared(lost=62, low=-0.1, high=0.0, against="reference", passed=False),
            "All test images: 6.2 points worse than the reference model (0.0 to 10.0 worse), where"
            " 5.0 points are allowed.",
        ),
        (
            compared(TWO, 501, 10_000, low=-0.08, high=0.01, passed=False),
            "Tranche 2: 5.01 points worse than the model in service (8.0 worse to 1.0 better),"
            " where 5.00 points are allowed.",
        ),
        (
            compared(gained=20, low=-0.06, high=0.1, passed=False),
            "All test images: 2.0 points better than the model in service (6.0 worse to 10.0"
            " better); that it loses at most 5.0 points is not proven, and the plan asks for"
            " proof.",
        ),
        (
            recall(80),
            "The model finds 0.80 of 100 images of Lying, below the recall floor of 0.87.",
        ),
    ],
)
def test_what_the_plan_refuses_is_a_reason(found: Recall | Comparison, sentence: str) -> None:
    assert verdict.reasons(refused(found)) == [sentence]


def places(*found: Comparison, **rest: Any) -> list[tuple[str, SliceKey]]:
    first = verdict.worst_first(decision(*found, **rest))
    return [(each.against, each.place) for each in first]


def test_what_is_proven_comes_first_then_the_most_specific_then_the_largest_loss() -> None:
    other_lying = ((features.TRANCHE, "1"), *LYING)
    found = places(
        compared(lost=90, passed=False),
        compared(TWO, 900, 2000, **WORSE),
        compared(LYING_IN_TWO, 300, 500, **WORSE),
        compared(other_lying, 400, 500, **WORSE),
        compared(LYING, 800, 1000, passed=False),
        compared(((features.TRANCHE, "1"),), 10),
    )
    expected = [other_lying, LYING_IN_TWO, TWO, LYING, ()]
    assert found == [("in_service", place) for place in expected]


def test_a_slice_that_lost_what_a_smaller_one_lost_is_not_named_again() -> None:
    smaller = compared(LYING_IN_TWO, 90, 100, **WORSE)
    assert places(smaller, compared(TWO, 90, passed=False), compared(LYING, 91, passed=False)) == [
        ("in_service", LYING_IN_TWO),
        ("in_service", LYING),
    ]
    # The larger one says more where the smaller one is not proven.
    assert places(compared(LYING_IN_TWO, 90, 100, passed=False), compared(TWO, 90, **WORSE)) == [
        ("in_service", TWO),
        ("in_service", LYING_IN_TWO),
    ]


def test_a_slice_is_named_once_though_it_is_worse_than_both_models() -> None:
    both = [
        compared(TWO, 90, **WORSE),
        compared(TWO, 95, against="reference", **WORSE),
        compared(LYING, 60, against="reference", passed=False),
    ]
    assert places(*both) == [("reference", TWO), ("reference", LYING)]


def test_what_asks_for_proof_is_not_told_by_a_smaller_slice() -> None:
    unproven = [compared(), compared(TWO, passed=False), compared(passed=False)]
    assert places(*unproven) == [("in_service", TWO), ("in_service", ())]


def test_floors_come_after_comparisons_and_answers_to_requests_last() -> None:
    floor = Gate(kind="accuracy", value=0.86, limit=0.87, passed=False)
    evaluation = Evaluation({(): metrics(100, 0.86)}, (floor,))
    found = replace(
        refused(recall(80), compared(TWO, 90, **WORSE)),
        read_evaluation=lambda: evaluation,
        serving=ServingReport(3, ("A PNG was not answered.",)),
    )
    first_words = [reason.split(" ")[0] for reason in verdict.reasons(found)]
    assert first_words == ["Tranche", "The", "Accuracy", "A"]


def test_a_slice_too_small_to_decide_is_a_warning_where_its_loss_is_more_than_chance() -> None:
    few = {"clips": 23, "decides": False, "passed": None}
    lost = compared(LYING_IN_TWO, 50, 100, **few)
    found = run(
        decision=decision(
            lost,
            compared(LYING_IN_TWO, 40, 100, against="reference", **few),
            compared(TWO, 30, 100, **few),
            compared(LYING, 0, 100, **few),  # its interval holds 0
            compared((), 60, 100, passed=True),  # decides
        )
    )
    (warning,) = verdict.findings(found)
    assert warning.severity == "warning"
    assert warning.sentence == (
        "Lying in tranche 2: 50.0 points worse than the model in service (49.0 to 52.0 worse). Its"
        " 23 clips are too few to decide. The comparison lists 1 more."
    )
    assert verdict.findings(run(decision=decision(compared(LYING, 0, 100, **few)))) == []


def test_what_has_too_few_clips_is_a_gate_that_is_not_checked() -> None:
    few = {"clips": 23, "decides": False, "passed": None}
    found = refused(recall(20, 23, clips=1, passed=None), compared(), compared(TWO, 9, **few))
    notes = {gate.place: gate.note for gate in verdict.gates(found) if gate.passed is None}
    assert notes[TWO] == "Not checked: 23 clips, the plan asks for 100."
    assert notes[LYING] == "Not checked: 1 clip, the plan asks for 100."
    assert verdict.reasons(found) == ["The model was not pushed; the log has the details."]


def test_a_comparison_of_an_earlier_time_is_told_of_though_its_figures_are_not_kept() -> None:
    passed = Gate(kind="accuracy", value=0.9, limit=0.87, passed=True)
    evaluation = Evaluation({(): metrics(100, 0.9)}, (passed,))
    blessing = artifact({"blessed": 0})
    found = run(
        states={"Pusher": "ran"},
        outputs={("Evaluator", "blessing"): blessing},
        read_evaluation=lambda: evaluation,
    )
    (reason,) = verdict.reasons(found)
    assert "worse than the one in service" in reason
    assert [gate.kind for gate in verdict.gates(found)] == ["contract", "accuracy", "serving"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.09, -0.034, "3.4 to 9.0 worse"),
        (-0.071, 0.032, "7.1 worse to 3.2 better"),
        (0.01, 0.02, "1.0 to 2.0 better"),
    ],
)
def test_an_interval_is_written_without_signs(low: float, high: float, words: str) -> None:
    assert verdict.interval(low, high) == words


def test_gates_are_listed_in_the_order_of_the_pipeline_also_before_they_are_reached() -> None:
    kinds = ["contract", "accuracy", "serving", "no_worse"]
    assert [(gate.kind, gate.passed) for gate in verdict.gates(run())] == [(k, None) for k in kinds]
    judged = run(
        outputs={("ValidationGate", "verdict"): artifact({"passed": 1})},
        serving=ServingReport(3, ("A PNG was not answered.",)),
        plan=decided.plan(),
        decision=decision(recall(90)),
        read_evaluation=lambda: Evaluation(
            {(): metrics(9, 1.0)}, (Gate(kind="accuracy", value=1.0, limit=0.87, passed=True),)
        ),
    )
    kinds = ["contract", "accuracy", "serving", "recall", "no_worse"]
    assert [gate.kind for gate in verdict.gates(judged)] == kinds
    assert [gate.passed for gate in verdict.gates(judged)] == [True, True, False, True, True]


@pytest.mark.parametrize(("reached", "warns"), [(None, False), (0.95, False), (0.925, True)])
def test_a_model_that_is_sure_too_often_is_warned_of(reached: float | None, warns: bool) -> None:
    evaluation = Evaluation({(): metrics(100, 0.9, selective_accuracy=reached)}, ())
    findings = verdict.findings(run(read_evaluation=lambda: evaluation))
    assert [finding.severity for finding in findings] == ["warning"] * warns
    assert all("92.5 %" in each.sentence and "95.0 %" in each.sentence for each in findings)


def test_findings_that_stop_the_run_come_first() -> None:
    warning = Finding(severity="warning", sentence="w")
    blocking = Finding(severity="blocking", sentence="b")
    found = verdict.findings(run(findings=(warning, blocking)))
    assert [finding.sentence for finding in found] == ["b", "w"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("approved", "approved the model, which went into service as version 5"),
        ("rejected", "rejected the model"),
        (
            "rolled_back",
            "rolled back version 4: the model of run r1 went into service again, as version 5",
        ),
    ],
)
def test_a_decision_is_told_with_its_time_and_reason(kind: SignOffKind, words: str) -> None:
    expected = f"Ada Byron {words} (2026-11-28 15:34 UTC): it misses falls"
    assert verdict.told(signed(kind)) == expected
