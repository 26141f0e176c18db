"""Runs that are killed at any moment: the same command goes on, and ends as if nothing had been."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.runs.lineage import sqlite
from tests.robustness.conftest import Tried
from tests.support.running import ANEW, SETTINGS, Command, Ended, children
from tests.support.waiting import wait_for

# In the order of a run. The first ones come before the pipeline.
STEPS = (
    *("Master table", "TFRecords", "TensorFlow Extended", "TrancheExampleGen", "StatisticsGen"),
    *("ImageTable", "ValidationGate", "Transform", "Trainer", "Trainer", "Evaluator"),
    *("ServingCheck", "Predictor", "Pusher", "ReviewPage"),
)
SOME_STEPS = ("TFRecords", "Transform", "Trainer", "Evaluator", "Pusher")


class Killed:
    """A run that is killed in one of its steps."""

    def __init__(self, command: Command, arguments: list[str], text: Path) -> None:
        self._text = text
        with text.open("w") as file:
            self._process = command.start(*arguments, stdout=file, stderr=subprocess.STDOUT)

    def in_step(self, step: str, delay: float, power: bool) -> bool:
        """Kills it.

        Args:
          step: its name.
          delay: seconds after its begin.
          power: kills the worker in the same moment, not only the launching process.

        Returns:
          Whether it was still running.
        """
        begun = f"{step}: running"
        wait_for(
            lambda: begun in self._text.read_text() or self._process.poll() is not None,
            f"the begin of {step}",
            seconds=600,
        )
        time.sleep(delay)
        running = self._process.poll() is None
        workers = children(self._process.pid) if running else []
        if power:
            for pid in workers:
                os.killpg(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        wait_for(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers),
            "the end of a worker whose launcher is gone",
        )
        return running


def _finished(out: Path) -> Counter[str]:
    """How often each component ran to its end."""
    place = sqlite(out / "metadata.sqlite", mlmd.SqliteMetadataSourceConfig.READONLY)
    store = metadata_store.MetadataStore(place)
    nodes: Counter[str] = Counter()
    for execution in store.get_executions():
        if execution.last_known_state == mlmd.Execution.COMPLETE:
            contexts = store.get_contexts_by_execution(execution.id)
            (node,) = (context.name for context in contexts if context.type == "node")
            nodes[node.partition(".")[2]] += 1
    return nodes


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            SOME_STEPS, marks=[pytest.mark.slow, pytest.mark.timeout(1500)], id="five times"
        ),
        pytest.param(
            STEPS + STEPS,
            marks=[pytest.mark.robustness_full, pytest.mark.timeout(3600)],
            id="thirty times",
        ),
    ],
)
def test_a_run_that_is_killed_goes_on(
    steps: tuple[str, ...],
    whole_run: Ended,
    command: Command,
    tranches: Path,
    tmp_path: Path,
    tried: Tried,
) -> None:
    draws, out = random.Random(11), tmp_path / "out"  # noqa: S311 (drawn moments, no secret)
    arguments = command.arguments(out, "--data-root", str(tranches), **SETTINGS)
    for number, step in enumerate(steps):
        run = Killed(command, arguments, tmp_path / "text")
        if run.in_step(step, draws.uniform(0, 2), power=number % 2 == 0):
            tried("runs killed")
    ended = command.run(out, "--data-root", str(tranches), **SETTINGS)
    ended.assert_as_good_as(whole_run)
    again = {node: count for node, count in _finished(out).items() if count > 1}
    # A push is done once more if it is killed between deed and record.
    assert set(again) <= ANEW | {"Pusher"}, "a finished component ran again"
    assert not list((out / "serving").rglob(".incoming"))


@pytest.mark.slow
def test_ctrl_c_ends_all_of_it_and_says_so_in_a_line(tranches: Path, tmp_path: Path) -> None:
    # Whoever started the tests in the background has them, and all they start, ignore it.
    command = Command(tmp_path, "env", "--default-signal=INT")
    arguments = command.arguments(tmp_path / "out", "--data-root", str(tranches), **SETTINGS)
    process = command.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("TrancheExampleGen: running"):
            break
    workers = children(process.pid)
    assert workers
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.count("Stopped. Finished steps are kept") == 1 and "Traceback" not in error
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
