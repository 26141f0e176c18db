"""The command on drawn tranches: every recipe trains, and finished trials are not run again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from components.crossval.recipes import RECIPES
from components.demo.tranches import draw_tranches
from tests.support.running import children
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = """
image_size = 32
ingest_size = 64
alpha = 0.35
head_epochs = 1
fine_tune_epochs = 1
views = 2
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Flags that every call shares."""
    folder = tmp_path_factory.mktemp("crossval")
    draw_tranches(folder / "tranches", clips=36, seed=5)
    (folder / "run.toml").write_text(SETTINGS)
    base = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    base.save_weights(folder / "base.weights.h5")
    return [
        *("--data-root", str(folder / "tranches"), "--config", str(folder / "run.toml")),
        *("--output-root", str(folder / "out"), "--folds", "2"),
        *("--base-weights", str(folder / "base.weights.h5")),
    ]


def _call(*flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-W", "ignore", "-m", "pipeline.commands.script", "crossval", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_an_unknown_recipe_is_told_what_there_is(given: list[str]) -> None:
    asked = _call(*given, "--recipe", "best")
    assert asked.returncode == 2 and "Traceback" not in asked.stderr
    assert all(name in asked.stderr.replace("\n", " ") for name in RECIPES)


def test_without_weights_there_is_nothing_to_compare(given: list[str]) -> None:
    asked = _call(*given[:-1], "none")
    assert asked.returncode == 2 and "--base-weights" in asked.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_recipe_gets_its_cells_and_finished_trials_are_kept(given: list[str]) -> None:
    recipes = ["default", "plain", "logistic", "original"]
    flags = [flag for name in recipes for flag in ("--recipe", name)]
    first = _call(*given, *flags)
    assert first.returncode == 0, first.stderr
    folder = Path(given[5]) / "crossval"
    table = json.loads((folder / "crossval.json").read_text())
    cells = {(cell["recipe"], cell["held_out"]): cell for cell in table["cells"]}
    ways = ["clips", "tranche 1", "tranche 2", "tranche 3"]
    assert set(cells) == {(recipe, way) for recipe in recipes for way in ways}
    for cell in cells.values():
        assert 0 <= cell["low"] <= cell["accuracies"][0] <= cell["high"] <= 1
    trials = {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    assert len(trials) == len(recipes) * (2 + 3)
    again = _call(*given, *flags)
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")} == trials


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_who_ends_a_training_or_the_command_loses_what_was_not_finished(given: list[str]) -> None:
    # Draws of its own, so that nothing of it is finished.
    flags = [*given, "--recipe", "head only", "--seeds", "2"]
    folder = Path(given[5]) / "crossval"
    before = set(folder.glob("*.npy"))

    status, said = _ended_in_the_middle(flags, folder, of_the_training=signal.SIGKILL)
    assert status == 2 and "Traceback" not in said
    assert "signal SIGKILL" in said and "continues after the finished trainings" in said
    first = {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    assert len(before) + 2 <= len(first) < len(before) + 10

    status, said = _ended_in_the_middle(flags, folder, of_the_command=signal.SIGTERM)
    assert status == 130 and "Traceback" not in said
    assert "the same command continues after them" in said

    again = _call(*flags)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert len(list(folder.glob("*.npy"))) == len(before) + 10


def _ended_in_the_middle(
    flags: list[str],
    folder: Path,
    of_the_training: signal.Signals | None = None,
    of_the_command: signal.Signals | None = None,
) -> tuple[int, str]:
    """Sends one of them a signal after two trainings; returns exit status and stderr.

    No process of the command is left then.
    """
    done = len(list(folder.glob("*.npy"))) + 2
    command = [sys.executable, "-W", "ignore", "-m", "pipeline.commands.script", "crossval", *flags]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603 (a command of ours)
        wait_for(
            lambda: len(list(folder.glob("*.npy"))) >= done or running.poll() is not None,
            "the end of two trainings",
        )
        (training,) = [
            child
            for child in children(running.pid)
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        if of_the_training:
            os.kill(training, of_the_training)
        if of_the_command:
            running.send_signal(of_the_command)
        assert running.stderr
        said = running.stderr.read().replace("\n", " ")
    # Stderr has ended, which the training has, too: it is not there any more.
    assert not Path(f"/proc/{training}").exists()
    return running.returncode, said


@pytest.mark.slow
def test_test_clips_can_be_kept_out(given: list[str]) -> None:
    folder = Path(given[5]) / "crossval"
    assert _call(*given, "--recipe", "logistic").returncode == 0
    whole = json.loads((folder / "crossval.json").read_text())
    assert _call(*given, "--recipe", "logistic", "--keep-test-out").returncode == 0
    part = json.loads((folder / "crossval.json").read_text())
    assert part["test clips left out"] and part["clips"] < whole["clips"]
