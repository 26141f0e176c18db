"""Approve, reject and rollback, killed at any moment: one model is in service, and it is whole."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.judging.acceptance import Acceptance
from components.serving.versions import versions
from pipeline.config import PipelineConfig
from pipeline.runs import lineage
from pipeline.runs.reader import Runs
from pipeline.runs.verdict import verdict
from tests.robustness.conftest import Tried
from tests.support import tiny_runs

ROOT = Path(__file__).resolve().parents[2]
KILLS = 8

# What the process does last or not any more, and whether the decision holds then.
MOMENTS = {
    "before the first byte": ("components.files.begin", "before", False),
    "in the midst of copying": ("shutil.copytree", "after", False),
    "before it is published": ("pathlib.Path.rename", "before", False),
    "once it is published": ("components.files.publish", "after", True),
    "before the record": ("pipeline.runs.lineage.record", "before", True),
    "in the midst of the record": ("pipeline.runs.lineage._event", "before", True),
    "once it is recorded": ("pipeline.runs.lineage.record", "after", True),
    "before run.json": ("pipeline.runs.record.refresh", "before", True),
}
COMMANDS = {
    "approve": ("approve", "r3"),
    "reject": ("reject", "r3"),
    "rollback": ("rollback",),
}

# Runs a command of ours, and kills this process when it comes to a function, or back from it.
KILLING = """
import importlib, os, signal, sys
name, when, *arguments = sys.argv[1:]
def replace(name):
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        break
    for part in parts[end:-1]:
        owner = getattr(owner, part)
    former = getattr(owner, parts[-1])
    def killing(*given, **named):
        if when == "after":
            former(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, parts[-1], killing)
if name:
    replace(name)
from pipeline.commands import cli
sys.argv = ["lookdeep", *arguments]
cli.execute(cli.lookdeep)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models were pushed, and a third one awaits a decision."""
    root = tmp_path_factory.mktemp("finished") / "out"
    config = tiny_runs.settings(root)
    tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", flavour="B")
    asking = config.model_copy(update={"acceptance": Acceptance(sign_off="always")})
    assert verdict(tiny_runs.run(asking, "r3", flavour="C")) == "awaiting_sign_off"
    return root


@pytest.fixture
def config(finished: Path, tmp_path: Path) -> PipelineConfig:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "out")
    return PipelineConfig(output_root=tmp_path / "out")


def start(
    config: PipelineConfig, command: str, function: str = "", when: str = ""
) -> "subprocess.Popen[str]":
    """Starts a command that is killed at a function; without one it ends by itself."""
    arguments = (*COMMANDS[command], "--by", "Ada", "--reason", "it finds falls")
    return subprocess.Popen(  # noqa: S603 (a command of ours)
        [
            *(sys.executable, "-c", KILLING, function, when),
            *(*arguments, "--output-root", str(config.output_root)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def in_service(config: PipelineConfig) -> str:
    """The run whose model a server reads: the version with the highest number, which is whole."""
    found = versions(config.serving_dir)
    assert not any(version.damage for version in found)
    assert found[-1].origin
    return found[-1].origin.run_id


def assert_decided(config: PipelineConfig, command: str) -> None:
    """Checks that a decision was made once, whoever is asked about it."""
    runs = Runs(config.output_root)
    (signed,) = runs.sign_offs
    assert (signed.by, signed.reason) == ("Ada", "it finds falls")
    assert runs.unrecorded == []
    expected = {"approve": "r3", "reject": "r2", "rollback": "r1"}[command]
    assert in_service(config) == expected
    assert len(versions(config.serving_dir)) == (2 if command == "reject" else 3)
    executions = lineage.open_store(config).get_executions_by_type("SignOff")
    (state,) = (execution.last_known_state for execution in executions)
    assert state == mlmd.Execution.COMPLETE
    came_to = {"approve": "pushed", "reject": "rejected", "rollback": "awaiting_sign_off"}
    assert verdict(runs.read("r3")) == came_to[command]


def assert_baseline(config: PipelineConfig) -> None:
    """Checks that the next run compares with the model in service, and nothing else."""
    expected = in_service(config)
    chosen = tiny_runs.settings(config.output_root)
    run = tiny_runs.run(chosen, "r4", flavour="D")
    assert run.inputs["AcceptanceGate", "in_service"].made_by == expected
    assert Runs(config.output_root).unrecorded == [], "a run completes what was not recorded"


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_decision_that_is_killed_is_made_or_not(
    command: str, moment: str, config: PipelineConfig, tried: Tried
) -> None:
    before = in_service(config)
    function, when, made = MOMENTS[moment]
    process = start(config, command, function, when)
    said, _ = process.communicate()
    if process.returncode == 0:  # a rejection pushes nothing
        assert command == "reject", said
        assert_decided(config, command)
        return
    assert process.returncode == -signal.SIGKILL, said
    tried("decisions killed")
    sign_offs = Runs(config.output_root).sign_offs
    if command != "reject":
        assert len(sign_offs) == made
        assert (in_service(config) != before) == made
    again = start(config, command)
    said, _ = again.communicate()
    assert again.returncode == 0, said
    assert_decided(config, command)
    if sign_offs:
        assert Runs(config.output_root).sign_offs == sign_offs, "the first one counts"
    assert not list(config.serving_dir.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["approve", "rollback"])
def test_the_next_run_goes_on_from_what_a_killed_decision_left(
    command: str, config: PipelineConfig, tried: Tried
) -> None:
    process = start(config, command, "components.files.publish", "after")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    tried("decisions killed")
    assert len(Runs(config.output_root).unrecorded) == 1
    assert_baseline(config)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_decisions_are_killed_at_drawn_moments(
    command: str, finished: Path, tmp_path: Path, tried: Tried
) -> None:
    draws = random.Random(11)  # noqa: S311 (drawn moments, no secret)
    seconds = 0.0
    for number in range(KILLS):
        config = PipelineConfig(output_root=tmp_path / str(number))
        shutil.copytree(finished, config.output_root)
        began = time.monotonic()
        process = start(config, command)
        if number:
            time.sleep(draws.uniform(0.3, 1) * seconds)
            os.kill(process.pid, signal.SIGKILL)
            tried("decisions killed")
        process.communicate()
        seconds = seconds or time.monotonic() - began
        in_service(config)
        again = start(config, command)
        said, _ = again.communicate()
        assert again.returncode == 0, said
        assert_decided(config, command)
