"""What a user sees while a run goes on, without a terminal."""

import io
import itertools

import pytest
from rich.console import Console

from pipeline.process import view
from pipeline.process.view import RunView


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
