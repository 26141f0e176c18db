"""The comparison for programs has every figure; that for people says what it means."""

import csv
import io

import pytest

from components.judging.decision import Comparison
from pipeline.dossier import comparison
from pipeline.dossier.contents import contents
from schema import features
from tests.pipeline.dossier import sample
from tests.support import decided


def test_the_csv_has_every_comparison() -> None:
    made = sample.whole_run().decision
    assert made and len(made.comparisons) > 20
    rows = list(csv.DictReader(io.StringIO(comparison.as_csv(made))))
    names = {(row["against"], row["slice"]) for row in rows}
    assert len(rows) == len(names) == len(made.comparisons)
    assert names >= {("reference", "overall"), ("in_service", "tranche=2, primary_posture=Lying")}
    for row, each in zip(rows, made.comparisons, strict=True):
        for name in ("images", "clips", "right", "gained", "lost"):
            assert int(row[name]) == getattr(each, name)
        for name in ("difference", "low", "high"):
            assert float(row[name]) == getattr(each, name), "a negative figure is no formula"
        for name in ("margin", "answer", "passed"):
            value = getattr(each, name)
            assert row[name] == ("" if value is None else str(value))


@pytest.mark.parametrize(
    ("found", "ends"),
    [
        (decided.compared(answer="no_worse", confirmed=True), ["No worse", "yes"]),
        (decided.compared(answer="no_worse"), ["No worse (described, not proven)", "yes"]),
        (decided.compared(answer="worse", passed=False), ["Worse", "**no**"]),
        (
            decided.compared(clips=30, passed=None),
            ["Cannot be told from 30 clips", "does not decide: fewer than 100 clips"],
        ),
    ],
)
def test_each_answer_is_in_words(found: Comparison, ends: list[str]) -> None:
    asked, described = comparison.tables(decided.decision(found), 100)["in_service"]
    assert [list(row[-2:]) for row in asked.rows] == [ends]
    assert described.rows == []


def test_what_only_describes_has_no_answer() -> None:
    dark = decided.compared(((features.LIGHT, "dark"),), margin=None, answer=None, passed=None)
    asked, described = comparison.tables(decided.decision(dark), 100)["in_service"]
    assert asked.rows == []
    assert [row[0] for row in described.rows] == ["light: dark"]
    assert len(described.columns) == len(described.rows[0]) == 7


def test_a_model_that_there_was_not_has_no_table() -> None:
    assert list(comparison.tables(decided.decision(decided.compared()), 100)) == ["in_service"]


def test_the_other_models_are_named() -> None:
    text = contents(sample.whole_run(), sample.review())["comparison.md"]
    assert "## Against the model in service\n\nModel 31 of run run-of-31." in text
    assert "## Against the reference model\n\nModel 11 of run run-of-11." in text
    assert "Lying taken for Sitting" in text.partition("## What changed")[2]
