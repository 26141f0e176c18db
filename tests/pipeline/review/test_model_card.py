"""The model card is Markdown that a reader's tool shows as headings and tables."""

from dataclasses import replace

import markdown_it
import pytest

from pipeline.review import model_card
from pipeline.review.contents import Review
from schema import features
from tests.pipeline.dossier import sample as runs
from tests.pipeline.review import sample
from tests.support import decided


def html(markdown: str) -> str:
    return markdown_it.MarkdownIt("commonmark").enable("table").render(markdown)


@pytest.mark.parametrize("review", [sample.review(), sample.first_run(), sample.not_blessed()])
def test_every_slice_and_gate_is_a_row(review: Review) -> None:
    card = model_card.model_card(review, runs.early_run())
    shown = html(card)
    assert shown.count("<h2>") == 6
    assert shown.count("<table>") == 3
    slices = 1 + sum(len(group.slices) for group in review.groups)
    assert review.data
    tranches = len(review.data.labels["primary_posture"])
    assert shown.count("<tr>") == slices + tranches + len(review.gates) + 3
    for row in card.splitlines():
        if row.startswith("| Lying") and "against" not in row:
            assert row.split(" | ")[4] == "", "macro F1 of a slice of one posture"
    assert "|" not in shown, "a row that is no row"
    assert "/somewhere" not in card
    for part in review.worst:
        assert f"{part.name} ({part.accuracy * 100:.0f} % of {part.count})" in card


def test_plan_and_comparisons_are_on_the_card() -> None:
    plan = decided.plan()
    decision = decided.decision(
        decided.compared(answer="no_worse", confirmed=True),
        decided.compared(against="reference", answer="worse", lost=90, passed=False),
        decided.compared(decided.TWO, clips=23, passed=None),
        decided.compared(decided.LYING_IN_TWO),
        decided.compared(((features.LIGHT, "dark"),), margin=None, answer=None),
    )
    run = replace(runs.early_run(), plan=plan, decision=decision)
    card = model_card.model_card(sample.review(), run)
    assert "|" not in html(card), "a row that is no row"
    assert plan.sha256 in card and plan.sentence in card
    beside = card.partition("## Beside other models")[2].partition("## ")[0]
    rows = [row.split(" | ") for row in beside.splitlines() if row.startswith("| ")][1:]
    assert [(row[0], row[1], row[5]) for row in rows] == [
        ("| all test images", "the model in service", "No worse |"),
        ("| all test images", "the reference model", "Worse |"),
        ("| tranche 2", "the model in service", "Cannot be told from 23 clips |"),
    ]


def test_a_model_that_was_compared_with_none_says_so() -> None:
    run = replace(runs.early_run(), decision=decided.decision())
    card = model_card.model_card(sample.first_run(), run)
    assert "There was no other model to compare with." in card
    assert "Beside other models" not in model_card.model_card(sample.first_run(), runs.early_run())
