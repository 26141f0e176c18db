"""How many models the same test clips have judged, after real TFX runs of a tiny pipeline."""

import pytest

from components.judging.acceptance import Acceptance
from pipeline.runs import record
from pipeline.runs.reader import Runs
from tests.support import tiny_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    config = tiny_runs.settings(tmp_path_factory.mktemp("output"))
    for run_id, answers in {
        "r1": {"flavour": "A"},
        "r2": {"flavour": "B", "accepts": 0},
        "r3": {"flavour": "B"},
        "r4": {"passes": 0},
        "r5": {"flavour": "C"},
    }.items():
        tiny_runs.run(config, run_id, **answers)
    return Runs(config.output_root)


def test_each_model_counts_once_whether_it_was_pushed_or_not(runs: Runs) -> None:
    counted = {run.id: [each.run_id for each in run.ledger.get("1", ())] for run in runs}
    assert counted == {
        "r1": ["r1"],
        "r2": ["r1", "r2"],
        "r3": ["r1", "r2"],  # the model of r2, judged again
        "r4": [],
        "r5": ["r1", "r2", "r5"],
    }
    judged = runs.read("r5").ledger["1"]
    assert len({each.model_id for each in judged}) == 3
    assert judged[0].started == runs.read("r1").snapshot.started


def test_the_record_has_their_number(runs: Runs) -> None:
    assert record.record(runs.read("r5")).judged == {"1": 3}
    assert record.record(runs.read("r4")).judged == {}


def test_other_test_clips_are_another_count(runs: Runs) -> None:
    asked = Acceptance(least_clips=3)  # so that the plan is another artifact
    config = runs.config.model_copy(update={"acceptance": asked})
    plan = tiny_runs.run(config, "r6", flavour="C").outputs["AcceptancePlan", "acceptance_plan"]
    path = plan.folder / "plan.json"
    # The tiny pipeline always has the same clips.
    path.write_text(path.read_text().replace("c1" * 32, "d2" * 32))
    now = Runs(config.output_root)
    assert [each.run_id for each in now.read("r6").ledger["1"]] == ["r6"]
    assert [each.run_id for each in now.read("r5").ledger["1"]] == ["r1", "r2", "r5"]
