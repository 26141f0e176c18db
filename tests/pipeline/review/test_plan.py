"""The acceptance plan on the page."""

from typing import Any

import pytest

from components.judging.acceptance import Acceptance
from components.judging.plan import Plan
from pipeline.config import PipelineConfig
from pipeline.review import plan
from pipeline.runs.run import Judgement, Ledger, Run, Snapshot
from tests.support import decided


def run(run_id: str, asked: Plan | None, ledger: Ledger | None = None) -> Run:
    return Run(
        snapshot=Snapshot(run_id=run_id, config=PipelineConfig(), started=0.0),
        plan=asked,
        read_ledger=lambda: ledger or {},
    )


def test_every_setting_is_named_and_every_figure_has_a_unit() -> None:
    found = plan.published(run("r1", decided.plan()), None)
    assert found is not None
    leaves = [
        leaf
        for value in Acceptance().model_dump().values()
        for leaf in (value.values() if isinstance(value, dict) else [value])
    ]
    assert len(found.settings) == len(leaves)
    words = {title: text.replace("\u202f", " ") for title, text in found.settings.items()}
    assert words["Least recall of Lying"] == "87.0 %"
    assert words["Allowed loss to the reference, all test images"] == "2.0 points"
    assert words["Clips from which on a slice decides"] == "100"
    assert words["Run whose model is the reference"] == "the first that was pushed"
    assert words["When a person decides"] == "never"


@pytest.mark.parametrize(
    ("asked", "changes"),
    [
        ({}, []),
        (
            {"recall_floors": {"Lying": 0.8}, "reference_run": "r7"},
            [
                "Least recall of Lying: 80.0 % before, 87.0 % now.",
                "Run whose model is the reference: r7 before, the first that was pushed now.",
            ],
        ),
    ],
)
def test_what_changed_since_the_plan_of_the_model_in_service(
    asked: dict[str, Any], changes: list[str]
) -> None:
    earlier = run("r0", decided.plan(**asked))
    found = plan.published(run("r1", decided.plan()), earlier)
    assert found is not None
    assert [each.replace("\u202f", " ") for each in found.changes] == changes
    assert found.since == "r0"


def test_test_clips_that_are_new_or_others_or_gone_are_changes() -> None:
    earlier = decided.plan().model_copy(update={"test_clips": {"2": "other", "9": "b"}})
    found = plan.published(run("r1", decided.plan()), run("r0", earlier))
    assert found is not None
    assert found.changes == [
        "Test clips of tranche 1: new.",
        "Test clips of tranche 2: others, or their labels changed.",
        "Test clips of tranche 9: no longer asked.",
    ]


def test_a_first_plan_and_one_after_a_run_without_a_plan_have_no_changes() -> None:
    for earlier in (None, run("r0", None)):
        found = plan.published(run("r1", decided.plan()), earlier)
        assert found is not None
        assert (found.since, found.changes) == ("", [])


def test_a_run_without_a_plan_has_none_on_its_page() -> None:
    assert plan.published(run("r1", None), None) is None


def test_the_ledger_says_how_many_models_the_clips_have_judged_and_when() -> None:
    ledger = {"1": (Judgement("r0", 0.0, 1), Judgement("r1", 86400.0, 2))}
    found = plan.published(run("r1", decided.plan(), ledger), None)
    assert found is not None
    one, two = found.tables()["test_clips"].rows
    assert one == ["1", "2", "1970-01-01", "1970-01-02", "1a" * 32]
    assert two[:2] == ["2", "0"]


def test_what_the_clips_can_prove_is_there_by_slice() -> None:
    found = plan.published(run("r1", decided.plan()), None)
    assert found is not None
    table = found.tables()["provable"]
    assert [[cell.replace("\u202f", " ") for cell in row] for row in table.rows] == [
        ["all test images", "1 000", "120", "4.0 points"],
        ["tranche 2", "300", "40", "12.0 points"],
    ]
