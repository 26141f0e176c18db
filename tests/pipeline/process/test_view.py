"""What a user sees while a run goes on, without a terminal."""

import io
import itertools
from typing import Any

import pytest
from rich.console import Console

from pipeline.config import PipelineConfig
from pipeline.process import view
from pipeline.process.view import RunView
from pipeline.runs.record import record
from pipeline.runs.run import Evaluation, Run, SliceMetrics, Snapshot
from tests.support import decided
from tests.support.decided import LYING, TWO, compared, decision, recall


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the view sees, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    return now


def test_a_step_is_never_silent_for_five_seconds(clock: list[float]) -> None:
    output = io.StringIO()
    shown = RunView(Console(file=output, width=80))
    shown.handle({"event": "stage", "name": "Trainer", "state": "running"})
    said = [clock[0]]
    for second in range(1, 241):  # the launcher asks twice a second
        clock[0] += 0.5
        before = output.tell()
        if second == 30:
            shown.handle({"event": "doing", "what": "exporting the model"})
        elif second % 3 == 0 and second > 60:
            batch = {"phase": "head", "epoch": 2, "epochs": 20, "batch": second, "batches": 240}
            shown.handle({"event": "batch", **batch})
        else:
            shown.remind()
        if output.tell() > before:
            said.append(clock[0])
    gaps = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert max(gaps) < 5 and min(gaps[1:]) > 1
    lines = output.getvalue().splitlines()
    assert "Trainer: exporting the model" in lines
    assert "Trainer: running for 19 s (exporting the model)" in lines
    assert lines[-1] == "Trainer: running for 1 min 59 s (head, epoch 2 of 20: batch 237 of 240)"


def test_nothing_is_said_when_nothing_runs(clock: list[float]) -> None:
    output = io.StringIO()
    shown = RunView(Console(file=output, width=80))
    shown.handle({"event": "stage", "name": "Trainer", "state": "running"})
    shown.handle({"event": "stage", "name": "Trainer", "state": "ran"})
    clock[0] += 60
    before = output.getvalue()
    shown.remind()
    assert output.getvalue() == before


_LINE = "\N{BOX DRAWINGS LIGHT VERTICAL}"


def closing(**changes: Any) -> str:
    """What is printed after a run in a terminal of 80 columns."""
    metrics = SliceMetrics(
        example_count=40_787, accuracy=0.912, accuracy_low=0.6, accuracy_high=0.9, coverage=0.9
    )
    run = Run(
        snapshot=Snapshot(run_id="r1", config=PipelineConfig(), started=0.0),
        plan=decided.plan(),
        decision=decision(
            recall(90, posture="Sitting"),
            recall(86, 100_000),
            compared(lost=150, low=-0.245, high=-0.101),
            compared(TWO, 5, against="reference"),
            compared(TWO, 20, gained=41),
            compared(LYING, 30),
        ),
        read_evaluation=lambda: Evaluation({(): metrics, TWO: metrics}, ()),
    )
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system=None)
    view.show(record(run).model_copy(update=changes), console)
    return output.getvalue()


def cells(text: str) -> list[list[str]]:
    """The rows of the tables."""
    rows = [line for line in text.splitlines() if _LINE in line]
    assert max(map(len, rows)) <= 80
    return [[cell.strip() for cell in row.split(_LINE)] for row in rows]


def test_the_closing_tables_have_the_difference_with_its_interval() -> None:
    text = closing()
    overall, tranche, lying, sitting = cells(text)
    assert overall[:3] == ["overall", "40,787", "91.2 %"]
    assert overall[3:] == ["60 to 90 %", "90.0 %", "-15.0 (-24.5 to -10.1)"]
    assert (tranche[0], tranche[-1]) == ("tranche 2", "+2.1 (-4.0 to -1.0)")
    assert lying[:2] == ["Lying", "100,000"] and lying[-1] == "-3.0 (-5.0 to -2.0)"
    assert sitting == ["Sitting", "100", "90.0 %", "50 to 99 %", "87 %", ""]
    assert "Difference: from the model in service, with its 95 % interval." in text


def test_what_cannot_be_told_is_said_beside_the_verdict() -> None:
    def said(answer: str | None) -> bool:
        overall = compared(answer=answer, clips=1, margin=0.01)
        return (
            "Whether it is more than 1.0 points worse than the model in service cannot be told"
            " from 1 clip." in closing(decision=decision(overall))
        )

    assert [said(answer) for answer in ("untold", "no_worse", "worse")] == [True, False, False]


def test_without_a_model_in_service_there_is_no_column_of_differences() -> None:
    text = closing(decision=decision(recall(90)))
    assert "Difference" not in text
    assert [len(row) for row in cells(text)] == [5, 5, 5]


def test_it_says_what_the_test_clips_can_prove_and_how_many_models_they_have_judged() -> None:
    text = closing(judged={"1": 5, "2": 1})
    assert decided.plan().sentence in text
    assert "this one included: 5 in tranche 1, 1 in tranche 2." in text
    assert "this one included: 3." in closing(judged={"1": 3, "2": 3})


def test_the_rest_of_many_reasons_is_counted() -> None:
    text = closing(reasons=[f"Reason {number}." for number in range(9)])
    assert "Reason 5." in text and "Reason 6." not in text
    assert "3 more: see the review page." in text


def test_a_run_of_an_earlier_time_has_its_table() -> None:
    text = closing(plan=None, decision=None)
    assert [len(row) for row in cells(text)] == [5, 5]
    assert "prove" not in text
