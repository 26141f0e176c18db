"""The dossier of a real run: its figures are the run's, and it names no image."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.judging import decision, plan
from pipeline.dossier.contents import FILES
from tests.support.running import Command, Ended, put_back

pytestmark = pytest.mark.slow  # a whole run, which the other slow tests share


@pytest.fixture(scope="module")
def folder(whole_run: Ended, command: Command) -> Iterator[Path]:
    with put_back(whole_run.out):
        yield _written(whole_run, command)


def _written(whole_run: Ended, command: Command) -> Path:
    ended = command.call(
        *("-m", "pipeline.commands.script", "dossier", whole_run.record["run_id"]),
        *("--output-root", whole_run.out),
        out=whole_run.out,
    )
    assert ended.status == 0, ended.text
    return Path(ended.text.splitlines()[-1])


def test_a_first_run_lacks_only_the_comparison(folder: Path) -> None:
    written = {path.name for path in folder.iterdir()}
    assert {"README.md", *FILES} - written == {"comparison.md", "comparison.csv"}
    assert written <= {"README.md", *FILES}


def test_plan_and_decision_are_the_artifacts(folder: Path, whole_run: Ended) -> None:
    published = plan.read(whole_run.artifact("AcceptancePlan", "acceptance_plan"))
    found = decision.read(whole_run.artifact("AcceptanceGate", "acceptance_decision"))
    assert (
        plan.Plan.model_validate_json((folder / "acceptance_plan.json").read_bytes()) == published
    )
    assert decision.Decision.model_validate_json((folder / "decision.json").read_bytes()) == found
    assert f"{whole_run.record['accuracy'] * 100:.1f}" in (folder / "decision.md").read_text()


def test_no_image_of_the_run_is_named(folder: Path, whole_run: Ended) -> None:
    with (whole_run.out / "data" / "tranch_master.csv").open(encoding="utf-8") as table:
        images = {row["file_name"] for row in csv.DictReader(table)}
    assert images
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert [name for name in images if name in text] == [], path.name
