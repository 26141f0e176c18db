"""What docs/architecture.md says of a new column or posture, done in copies of the project."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from components.training import model_run
from tests.support.documents import ROOT
from tests.support.running import LENIENT, SETTINGS, Command, Ended

PROJECT: Final = ("schema", "components", "pipeline", "local_runner.py", "setup.py")
POSTURES: Final = ("Sitting", "Standing", "Lying", "Kneeling")
CHECK: Final = "from components.examples import contract; contract.check()"

Change = tuple[str, str, str]  # the file, a part of it, and what takes its place


def documented() -> dict[str, list[Change]]:
    """The changes of the section, by what is added: `column` and `posture`."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text[text.index("## Add a column or a posture") :].partition("\n## ")[0]
    blocks = re.findall(r"(?:^ {4}.*\n)+", section, re.MULTILINE)
    return {
        name: list(changes(block))
        for name, block in zip(("column", "posture"), blocks, strict=True)
    }


def changes(block: str) -> Iterator[Change]:
    """The changes of a block: lines as in a diff, without numbers."""
    lines = [line[4:] for line in block.splitlines()]
    for part in "\n".join(lines).split("--- ")[1:]:
        file, *hunk = part.strip("\n").splitlines()
        before = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "+")
        after = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "-")
        yield file, before, after


def copied(folder: Path, *wanted: Change) -> Path:
    """A copy of the project with some changes."""
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    for file, before, after in wanted:
        text = (folder / file).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{file} has not once {before!r}"
        (folder / file).write_text(text.replace(before, after), encoding="utf-8")
    return folder


def python(folder: Path, code: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603 (ours)


@pytest.mark.parametrize("what", ["column", "posture"])
def test_each_needs_at_most_three_changes_and_the_schema_is_not_forgotten(
    what: str, tmp_path: Path
) -> None:
    wanted = documented()[what]
    assert 2 <= len(wanted) <= 3
    whole = python(copied(tmp_path / "whole", *wanted), CHECK)
    assert (whole.returncode, whole.stderr) == (0, "")
    forgotten = [change for change in wanted if not change[0].endswith(".pbtxt")]
    half = python(copied(tmp_path / "half", *forgotten), CHECK)
    assert half.returncode == 1
    assert re.search(r"schema\.pbtxt, (line \d+|end): .*(camera|Kneeling)", half.stderr)


def test_a_mistake_in_the_schema_is_named_before_anything_starts(tmp_path: Path) -> None:
    mistake = ("schema/schema.pbtxt", '  name: "image"\n  type', '  name: "image"\n  typo')
    command = Command(tmp_path, root=copied(tmp_path / "copy", mistake))
    ended = command.run(tmp_path / "out")
    assert ended.status == 2
    file = tmp_path / "copy" / "schema" / "schema.pbtxt"
    lines = file.read_text(encoding="utf-8").splitlines()
    where = f"{file}, line {lines.index('  typo: BYTES') + 1}: "
    assert where in ended.text and 'no field named "typo"' in ended.text
    assert "Traceback" not in ended.text
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_has_both_and_what_was_before_stays_readable(
    rerunnable: Ended, tranches: Path, tmp_path: Path
) -> None:
    added = documented()
    data = Path(shutil.copytree(tranches, tmp_path / "tranches"))
    _add_tranche(data)
    command = Command(tmp_path, root=copied(tmp_path / "copy", *added["column"], *added["posture"]))
    recalls = {**LENIENT["recall_floors"], "Kneeling": 0.0}
    ended = command.run(
        rerunnable.out,
        *("--data-root", str(data)),
        **{
            **SETTINGS,
            "acceptance": {**LENIENT, "recall_floors": recalls},
            "missing_posture_floor": 0,
            "max_label_drift": 1.0,
        },
    )
    assert ended.status == 0, ended.text
    # The model in service knows three postures, and is compared on those.
    other = ended.record["decision"]["others"]["in_service"]
    assert 0 < other["left_out"] < ended.record["decision"]["images"]
    assert "show a posture that it does not know" in ended.page_text
    (overall,) = (
        each
        for each in ended.record["decision"]["comparisons"]
        if each["against"] == "in_service" and not each["place"]
    )
    assert overall["images"] == ended.record["decision"]["images"] - other["left_out"]
    assert "Recall Kneeling" in ended.page_text and "camera Ceiling" in ended.page_text
    metrics = ended.record["metrics"]
    assert {"camera=Ceiling", "camera=Wall", "primary_posture=Kneeling"} <= set(metrics)
    assert [len(row) for row in metrics["overall"]["confusion_matrix"]] == [4] * 4

    lookdeep = ("-m", "pipeline.commands.script")
    picture = next((data / "tranch11").iterdir())
    for run, known in ((ended, POSTURES), (rerunnable, POSTURES[:3])):
        pushed = ("--model", run.record["paths"]["pushed"])
        told = command.call(*lookdeep, "predict", picture, "--json", *pushed, out=run.out)
        assert told.status == 0, told.text
        (answer,) = (line for line in told.text.splitlines() if line.startswith("{"))
        assert [*json.loads(answer)["probabilities"]] == [*known]
        training = Path(run.record["paths"]["training"])
        assert model_run.read(training).postures == known

    drawn = command.call(
        *(*lookdeep, "review", rerunnable.record["run_id"], "--output-root", rerunnable.out),
        out=rerunnable.out,
    )
    assert drawn.status == 0, drawn.text
    page = rerunnable.page_text
    assert "Recall Kneeling" in page and "camera Ceiling" not in page


def _add_tranche(data: Path) -> None:
    """Adds a tranche of noise with the new column and, in some clips, the new posture."""
    rng = np.random.default_rng(0)
    (data / "tranch11").mkdir()
    with (data / "tranch11_labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            (
                *("file_name", "how_many", "primary_posture", "primary_occluded"),
                *("staff_patient_other", "camera"),
            )
        )
        for clip in range(60):
            name = f"clip{clip}_cat-1_1.png"
            posture = ("Kneeling", "Sitting")[clip % 2]
            camera = ("Ceiling", "Wall")[clip // 2 % 2]
            table.writerow((name, "One", posture, "No", "Patient", camera))
            pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
            Image.fromarray(pixels).save(data / "tranch11" / name)
