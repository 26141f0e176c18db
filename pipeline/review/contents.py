"""Everything that a review page shows, section by section.

`pipeline.review.collect` reads it from ML Metadata and the run's artifacts;
`pipeline.review.page` draws it. A section is None if the run ended before it;
`Review.missing` then says why.
"""

from dataclasses import dataclass, field
from typing import Final

from pipeline.review.changes import Changes
from pipeline.review.data_checks import Validation
from pipeline.review.data_summary import Data
from pipeline.review.gallery import Gallery
from pipeline.review.learning_curves import Training
from pipeline.review.provenance import Provenance
from pipeline.review.reliability import Reliability
from pipeline.review.section import Section
from pipeline.runs.record import Record

# --- 1 the verdict ------------------------------------------------------------------


@dataclass(frozen=True)
class GateRow:
    """One condition between a model and its service.

    Attributes:
      name: for example `Accuracy in tranche 2`.
      value: what was measured, None if it was not or is no number.
      threshold: what was asked, in the same unit.
      passed: None if the run ended before the gate, or there was nothing to check.
      sentence: what it means, in plain words.
    """

    name: str
    value: float | None
    threshold: float | None
    passed: bool | None
    sentence: str = ""

    @property
    def margin(self) -> float | None:
        """How far the value is above the threshold; negative below."""
        if self.value is None or self.threshold is None:
            return None
        return self.value - self.threshold


@dataclass(frozen=True)
class Baseline:
    """The model in service, which the candidate would replace.

    Attributes:
      model_id: its number in ML Metadata.
      run_id: the run that trained it.
      accuracy: on the test images of this run, 0 to 1.
      difference: the candidate's accuracy less the baseline's.
      low: 95 % confidence bound of the difference; None if there is none.
      high: the same.
    """

    model_id: int
    run_id: str
    accuracy: float
    difference: float
    low: float | None
    high: float | None


# --- 2, 3 slices and confusion matrices -----------------------------------------------


@dataclass(frozen=True)
class Slice:
    """The metrics of a part of the test split, as TFMA computed them.

    Attributes:
      columns: what it is cut by, for example `("tranche", "primary_posture")`; empty overall.
      values: the values of the columns, for example `("2", "Lying")`.
      name: for people: `Lying in tranche 2`.
      count: test images in it.
      accuracy: 0 to 1.
      low: 95 % confidence bounds; None where the slice is too small for them.
      high: the same.
      macro_f1: 0 to 1.
      recall: by posture; None where the posture does not occur.
      precision: by posture; None where it was never predicted.
      calibration_error: expected calibration error, 0 (best) to 1.
      coverage: share that the model is not unsure about; None if it does not tell.
      selective_accuracy: accuracy among those; None if there are none.
      difference: accuracy less the baseline's; None without a baseline.
      difference_low: 95 % confidence bounds of the difference.
      difference_high: the same.
      confusion: counts as [actual][predicted], in the order of `features.POSTURES`.
    """

    columns: tuple[str, ...]
    values: tuple[str, ...]
    name: str
    count: int
    accuracy: float
    low: float | None
    high: float | None
    macro_f1: float | None
    recall: dict[str, float | None]
    precision: dict[str, float | None]
    calibration_error: float | None
    coverage: float | None
    selective_accuracy: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    confusion: list[list[int]]

    @property
    def beyond_noise(self) -> bool:
        """Whether the difference to the baseline is more than noise."""
        if self.difference_low is None or self.difference_high is None:
            return False
        return self.difference_low > 0 or self.difference_high < 0


@dataclass(frozen=True)
class SliceGroup:
    """All slices by the same columns.

    Attributes:
      title: for people: `Tranche`, `Posture by tranche`, `Light`.
      note: how the values came about, where that is not plain; else empty.
      slices: in the order of the data.
    """

    title: str
    note: str
    slices: list[Slice]


# --- the page -------------------------------------------------------------------------

SECTIONS: Final = {
    "gates": "Verdict",
    "slices": "Slices",
    "confusion": "Confusion matrices",
    "changes": "What changed",
    "calibration": "Calibration",
    "pictures": "Errors to review",
    "data": "Data",
    "validation": "Validation",
    "training": "Training",
    "history": "History",
    "lineage": "Lineage",
    "card": "Model card",
    "glossary": "Glossary",
}


@dataclass(frozen=True)
class Review:
    """Everything on the page.

    Attributes:
      run: the run itself.
      sentence: what it came to, in a sentence or two.
      gates: in the order of the pipeline.
      baseline: the model that this one would replace.
      overall: the metrics of the whole test split.
      groups: its slices, by tranche first.
      least: slices with fewer images than this are hidden at first.
      worst: the slices with the lowest accuracy among those of at least `least`
        images, worst first.
      changes: section 4.
      calibration: section 5.
      pictures: section 6.
      data: section 7.
      validation: section 8.
      training: section 9.
      history: section 10, oldest first.
      lineage: section 11.
      card: section 12, Markdown.
      missing: why a section is absent, by key of `SECTIONS`.
    """

    run: Record
    sentence: str = ""
    gates: list[GateRow] = field(default_factory=list)
    baseline: Baseline | None = None
    overall: Slice | None = None
    groups: list[SliceGroup] = field(default_factory=list)
    least: int = 20
    worst: list[Slice] = field(default_factory=list)
    changes: Changes | None = None
    calibration: Reliability | None = None
    pictures: Gallery | None = None
    data: Data | None = None
    validation: Validation | None = None
    training: Training | None = None
    history: list[Record] = field(default_factory=list)
    lineage: Provenance | None = None
    card: str = ""
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def sections(self) -> list[Section]:
        """The sections that are there and hold their own tables and charts."""
        return [part for part in vars(self).values() if isinstance(part, Section)]
