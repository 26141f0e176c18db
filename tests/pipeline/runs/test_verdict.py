"""The verdict and its reasons, from `Run`s made by hand."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.examples.findings import Finding
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

TWO = ((features.TRANCHE, "2"),)


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
            Gate(kind="no_worse", value=-0.05, limit=-0.01, passed=False),
            "Accuracy overall is 0.05 below that of the model in service, where 0.01 is allowed.",
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


def test_gates_are_listed_in_the_order_of_the_pipeline_also_before_they_are_reached() -> None:
    kinds = ["contract", "accuracy", "no_worse", "serving"]
    assert [(gate.kind, gate.passed) for gate in verdict.gates(run())] == [(k, None) for k in kinds]
    judged = run(
        outputs={("ValidationGate", "verdict"): artifact({"passed": 1})},
        serving=ServingReport(3, ("A PNG was not answered.",)),
        read_evaluation=lambda: Evaluation(
            {(): metrics(9, 1.0)}, (Gate(kind="accuracy", value=1.0, limit=0.87, passed=True),)
        ),
    )
    assert [gate.passed for gate in verdict.gates(judged)] == [True, True, True, False]


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
