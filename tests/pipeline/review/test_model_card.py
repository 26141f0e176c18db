"""The model card is Markdown that a reader's tool shows as headings and tables."""

import markdown_it
import pytest

from pipeline.review import model_card
from pipeline.review.contents import Review
from tests.pipeline.review import sample

SETTINGS = {
    "image_size": 224,
    "fit": "stretch",
    "base_weights": "/somewhere/weights.h5",
    "alpha": 1.0,
    "selection": "labelled",
}


@pytest.mark.parametrize("review", [sample.review(), sample.first_run(), sample.not_blessed()])
def test_every_slice_and_gate_is_a_row(review: Review) -> None:
    card = model_card.model_card(review, SETTINGS)
    html = markdown_it.MarkdownIt("commonmark").enable("table").render(card)
    assert html.count("<h2>") == 6
    assert html.count("<table>") == 3
    slices = 1 + sum(len(group.slices) for group in review.groups)
    assert review.data
    tranches = len(review.data.labels["primary_posture"])
    assert html.count("<tr>") == slices + tranches + len(review.gates) + 3
    for row in card.splitlines():
        if row.startswith("| Lying") and "against" not in row:
            assert row.split(" | ")[4] == "", "macro F1 of a slice of one posture"
    assert "|" not in html, "a row that is no row"
    assert "/somewhere" not in card
    for part in review.worst:
        assert f"{part.name} ({part.accuracy * 100:.0f} % of {part.count})" in card
