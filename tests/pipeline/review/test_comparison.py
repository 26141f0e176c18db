"""What the page says and draws of comparisons with other models."""

import json
from typing import Any

import pytest

from components.judging.decision import Compared, Comparison, Decision
from pipeline.config import PipelineConfig
from pipeline.review import comparison
from pipeline.review.comparison import Comparisons
from pipeline.runs.record import Record, record
from pipeline.runs.run import Artifact, Run, Snapshot
from schema import features
from tests.support import decided
from tests.support.decided import LYING, TWO, compared, decision


def run(run_id: str, model: int, found: Decision | None = None) -> Run:
    return Run(
        snapshot=Snapshot(run_id=run_id, config=PipelineConfig(), started=0.0),
        outputs={("Trainer", "model"): Artifact(model, "Model", "/m", {}, 0, run_id, 1.0)},
        plan=decided.plan(),
        decision=found,
    )


HISTORY = [record(run(run_id, model)) for run_id, model in (("r1", 3), ("r2", 7), ("r3", 7))]


def read(found: Decision | None, history: list[Record] = HISTORY) -> Comparisons | None:
    return comparison.comparisons(run("r4", 9, found), history, 20)


def found(*each: Comparison, **rest: Any) -> Comparisons:
    there = read(decision(*each, **rest))
    assert there is not None
    return there


def test_the_other_models_and_the_runs_that_made_them() -> None:
    one, other = found(compared(), compared(against="reference")).others
    assert (one.role, one.model_id, one.run_id) == ("in_service", 7, "r2")
    assert (other.role, other.model_id, other.run_id) == ("reference", 3, "r1")
    assert not one.is_reference_too
    nobody_s = {"in_service": Compared(model_id=99, left_out=4, changed=0.1)}
    (unknown,) = found(compared(), others=nobody_s).others
    assert (unknown.run_id, unknown.left_out) == ("", 4)


def test_a_reference_that_is_in_service_is_there_once() -> None:
    both = [compared(), compared(against="reference")]
    same = decision(*both).others["in_service"]
    there = found(*both, others={"in_service": same, "reference": same})
    (one,) = there.others
    assert (one.role, one.is_reference_too) == ("in_service", True)
    assert [each.against for each in there.comparisons] == ["in_service"]


def test_without_another_model_there_is_nothing() -> None:
    assert read(None) is None
    assert read(decision()) is None


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (compared(answer="worse"), "Worse"),
        (compared(answer="no_worse", confirmed=True), "No worse"),
        (compared(answer="no_worse"), "No worse (described, not proven)"),
        (compared(answer="untold", clips=1), "Cannot be told from 1 clip"),
        (compared(answer="untold", clips=60), "Cannot be told from 60 clips"),
        (compared(margin=None, answer=None), "Descriptive"),
    ],
)
def test_every_answer_is_in_words(each: Comparison, words: str) -> None:
    assert comparison.in_words(each) == words


def rows(there: Comparisons) -> list[dict[str, Any]]:
    (chart,) = there.charts()
    (data,) = [each for each in chart.spec["datasets"].values() if "name" in each[0]]
    return list(data)


def test_one_chart_has_all_slices_of_both_models_with_their_margins() -> None:
    dark = compared(((features.LIGHT, "dark"),), 30, margin=None, answer=None)
    there = found(compared(margin=0.01), dark, compared(TWO, 9), compared(against="reference"))
    drawn = [(row["name"], row["model"], row["answer"], row["margin"]) for row in rows(there)]
    assert drawn == [
        ("all test images", "in_service", "Cannot be told", -0.01),
        ("tranche 2", "in_service", "Cannot be told", -0.05),
        ("all test images", "reference", "Cannot be told", -0.05),
        ("light: dark", "in_service", "Descriptive", None),  # what decides nothing comes last
    ]
    (chart,) = there.charts()
    assert "solid lines" in chart.summary and "yOffset" in json.dumps(chart.spec)


def test_small_slices_are_not_drawn_but_counted() -> None:
    there = found(compared(), compared(LYING), compared(TWO, images=19))
    assert [row["name"] for row in rows(there)] == ["all test images", "Lying"]
    assert there.hidden == 1


def test_a_chart_of_one_row_is_not_drawn() -> None:
    assert found(compared(), compared(against="reference")).charts() == []
