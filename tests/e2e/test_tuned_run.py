"""A second, tuned run on an output folder, and its page beside the first run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import LENIENT, SETTINGS, Command, Ended, put_back

pytestmark = pytest.mark.slow
# So little time is one trial: the settings as they are.
TUNED = {**SETTINGS, "tuning_minutes": 0.01, "acceptance": LENIENT}


@pytest.fixture(scope="module")
def tuned(whole_run: Ended, command: Command, tranches: Path) -> Iterator[Ended]:
    with put_back(whole_run.out):
        yield command.run(whole_run.out, "--data-root", str(tranches), **TUNED)


def test_the_tuner_runs_before_the_trainer_and_is_cached(
    tuned: Ended, command: Command, tranches: Path
) -> None:
    assert tuned.status == 0, tuned.text
    ran = [name for name, state in tuned.states.items() if state == "ran"]
    assert ran.index("Tuner") == ran.index("Trainer") - 1 and "Transform" not in ran
    assert "trial 1: eval loss" in tuned.text
    (results,) = tuned.artifact("Tuner", "tuner_results").rglob("*.json")
    (trial,) = json.loads(results.read_text(encoding="utf-8"))
    history = Path(tuned.record["paths"]["training"]) / "history.json"
    settings = json.loads(history.read_text(encoding="utf-8"))["settings"]
    assert settings["mixup"] == trial["mixup"]
    again = command.run(tuned.out, "--data-root", str(tranches), **TUNED)
    assert (again.states["Tuner"], again.states["Trainer"]) == ("cached", "cached")


def test_its_page_can_be_drawn_again_against_another_run(
    tuned: Ended, whole_run: Ended, command: Command
) -> None:
    drawn = command.call(
        *("-m", "pipeline.commands.script", "review", tuned.record["run_id"], "--blur"),
        *("--output-root", tuned.out, "--against", whole_run.record["run_id"]),
        out=tuned.out,
    )
    assert drawn.status == 0, drawn.text
    text = tuned.page_text
    assert f"Compared with the model of run {whole_run.record['run_id']}, image by image" in text
    counts = re.search(
        r"of (\d+) test images have another answer\. (\d+) were right and are wrong now; (\d+) were"
        r" wrong and are right now\.",
        text,
    )
    assert counts
    images, lost, gained = map(int, counts.groups())
    difference = tuned.record["accuracy"] - whole_run.record["accuracy"]
    assert (gained - lost) / images == pytest.approx(difference), "on the same images"
