"""The model card as the Coalition for Health AI wants it: an Applied Model Card, version 0.2, XML.

The elements and their order are those of https://mc.chai.org/v0.2/schema.xsd. The schema wants
text in elements that no run can fill in; there it says so, and names the blank.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.dossier.checklists import BLANKS_FILE, blanks
from pipeline.dossier.templates import render
from pipeline.review.contents import Review, Slice
from pipeline.runs.run import Run
from pipeline.runs.verdict import MODELS
from schema import features

# Characters that XML 1.0 does not have, however they are written.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Metric:
    """A figure, in per cent or percentage points; `low` and `high` are its 95 % interval."""

    label: str
    estimate: float
    low: float | None = None
    high: float | None = None
    unit: str = "%"

    @property
    def value(self) -> str:
        """The JSON that CHAI's cards have for a figure."""
        if self.low is None or self.high is None:
            return json.dumps({"kind": "single", "value": self.estimate, "unit": self.unit})
        interval = {"lower": self.low, "upper": self.high, "level": 95, "unit": self.unit}
        return json.dumps({"kind": "estimate_ci", "estimate": self.estimate, **interval})


def card(run: Run, review: Review, overall: Slice) -> str:
    """Writes the card of a model that was judged.

    Args:
      run: the run that judged it.
      review: everything on its page.
      overall: metrics of all test images.
    """
    text = render(
        "model_card_chai.xml",
        run=run,
        review=review,
        overall=overall,
        postures=features.POSTURES,
        blank=_blank,
        useful=list(_useful(overall)),
        fair=list(_fair(review)),
        safe=list(_safe(run, overall)),
    )
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _blank(element: str) -> str:
    """What stands in an element that the clinic has to fill in."""
    (found,) = (each for each in blanks().values() if element in each.chai)
    return f"To be filled in by the clinic: {found.title} ({BLANKS_FILE})."


def _useful(overall: Slice) -> Iterator[Metric]:
    yield _accuracy(overall)
    if overall.coverage is not None:
        yield Metric("Share of the images that the model is sure of", _percent(overall.coverage))
    if overall.selective_accuracy is not None:
        yield Metric("Accuracy where it is sure", _percent(overall.selective_accuracy))


def _fair(review: Review) -> Iterator[Metric]:
    """By what the label tables and the images tell; who a patient is, they do not tell."""
    for group in review.groups:
        for part in group.slices:
            if features.POSTURE not in part.columns:
                yield _accuracy(part)


def _safe(run: Run, overall: Slice) -> Iterator[Metric]:
    """Recall of each posture, and the differences to other models."""
    if run.decision is None:
        for posture, recall in overall.recall.items():
            if recall is not None:
                yield Metric(f"Recall of {posture}", _percent(recall))
        return
    for found in run.decision.recalls:
        low, high = _percent(found.low), _percent(found.high)
        yield Metric(f"Recall of {found.posture}", _percent(found.recall), low, high)
    for each in run.decision.comparisons:
        if not each.place:
            low, high = _percent(each.low), _percent(each.high)
            label = f"Accuracy less that of {MODELS[each.against]}"
            yield Metric(label, _percent(each.difference), low, high, "percentage points")


def _accuracy(part: Slice) -> Metric:
    label, accuracy = f"Accuracy, {part.name}, {part.count:,} images", _percent(part.accuracy)
    if part.low is None or part.high is None:
        return Metric(label, accuracy)
    return Metric(label, accuracy, _percent(part.low), _percent(part.high))


def _percent(share: float) -> float:
    return round(share * 100, 2)
