"""Runs that are killed at any moment: the same command goes on, and ends as if nothing had been."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.lineage import sqlite
from pipeline.seals import Seals
from schema import features
from tests.e2e.running import SETTINGS, Command, Ended

# In the order of a run. The first ones come before the pipeline.
STEPS = (
    *("Master table", "TFRecords", "TensorFlow Extended", "TrancheExampleGen", "StatisticsGen"),
    *("ImageTable", "ValidationGate", "Transform", "Trainer", "Trainer", "Evaluator"),
    *("ServingCheck", "Predictor", "Pusher", "ReviewPage"),
)
SOME_STEPS = ("TFRecords", "Transform", "Trainer", "Evaluator", "Pusher")
# What each run does anew, and what is done once more if it is killed between deed and record.
ANEW = {"LatestBlessedModel", "ReviewPage", "Pusher"}
LONGEST = 400.0  # seconds that a step may let wait for it


def _children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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
        deadline = time.monotonic() + LONGEST
        while f"{step}: running" not in self._text.read_text() and self._process.poll() is None:
            assert time.monotonic() < deadline, f"{step} never began"
            time.sleep(0.01)
        time.sleep(delay)
        running = self._process.poll() is None
        workers = _children(self._process.pid) if running else []
        if power:
            for pid in workers:
                os.killpg(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline, "the worker outlived its launcher"
            time.sleep(0.05)
        return running


def _store(out: Path) -> mlmd.ConnectionConfig:
    return sqlite(out / "metadata.sqlite", mlmd.SqliteMetadataSourceConfig.READWRITE)


def _finished(out: Path) -> Counter[str]:
    """How often each component ran to its end."""
    store = metadata_store.MetadataStore(_store(out))
    nodes: Counter[str] = Counter()
    for execution in store.get_executions():
        if execution.last_known_state == mlmd.Execution.COMPLETE:
            contexts = store.get_contexts_by_execution(execution.id)
            (node,) = (context.name for context in contexts if context.type == "node")
            nodes[node.partition(".")[2]] += 1
    return nodes


def _splits(out: Path) -> dict[str, list[str]]:
    """The names of each split's images; examples themselves have no one order of bytes."""
    import tensorflow as tf

    (folder,) = (out / "artifacts/TrancheExampleGen/examples").iterdir()
    names = {}
    for split in (features.TRAIN, features.EVAL, features.TEST):
        files = [str(path) for path in (folder / f"Split-{split}").iterdir()]
        records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
        examples = map(tf.train.Example.FromString, records)
        names[split] = sorted(
            example.features.feature[features.FILE_NAME].bytes_list.value[0].decode()
            for example in examples
        )
    return names


@pytest.mark.robustness_full
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(SOME_STEPS, marks=pytest.mark.timeout(1500), id="five times"),
        pytest.param(STEPS + STEPS, marks=pytest.mark.timeout(3600), id="thirty times"),
    ],
)
def test_a_run_that_is_killed_goes_on(
    steps: tuple[str, ...],
    first: Ended,
    command: Command,
    tranches: Path,
    tmp_path: Path,
    tried: Callable[[str, int], None],
) -> None:
    draws, out = random.Random(11), tmp_path / "out"  # noqa: S311 (drawn moments, no secret)
    arguments = command.arguments(out, "--data-root", str(tranches), **SETTINGS)
    for number, step in enumerate(steps):
        run = Killed(command, arguments, tmp_path / "text")
        if run.in_step(step, draws.uniform(0, 2), power=number % 2 == 0):
            tried("runs killed", 1)
    ended = command.run(out, "--data-root", str(tranches), **SETTINGS)
    assert ended.status == first.status == 0, ended.text
    assert ended.record["verdict"] == first.record["verdict"]
    assert ended.record["counts"] == first.record["counts"]
    assert _splits(out) == _splits(first.out)
    assert ended.record["accuracy"] == first.record["accuracy"]
    again = {node: count for node, count in _finished(out).items() if count > 1}
    assert set(again) <= ANEW, "a finished component ran again"
    seals = Seals(out / "seals", out / "artifacts", _store(out))
    assert seals.check() == [], "ML Metadata has an artifact that is not whole"
    assert not list((out / "serving").rglob(".incoming"))


@pytest.mark.robustness_full
def test_ctrl_c_ends_all_of_it_and_says_so_in_a_line(
    command: Command, tranches: Path, tmp_path: Path
) -> None:
    arguments = command.arguments(tmp_path / "out", "--data-root", str(tranches), **SETTINGS)
    process = command.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("TrancheExampleGen: running"):
            break
    workers = _children(process.pid)
    assert workers
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("Stopped. Finished steps are kept") == 1 and "Traceback" not in error
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
