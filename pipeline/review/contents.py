"""Everything that a review page shows, section by section.

`pipeline.review.collect` reads it from ML Metadata and the run's artifacts;
`pipeline.review.page` draws it. A section is None if the run ended before it;
`Review.missing` then says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from components.judging.decision import Comparison
from pipeline.review.changes import Changes
from pipeline.review.comparison import Comparisons
from pipeline.review.data_checks import Validation
from pipeline.review.data_summary import Data
from pipeline.review.errors import Errors
from pipeline.review.gallery import Gallery
from pipeline.review.learning_curves import Training
from pipeline.review.plan import PublishedPlan
from pipeline.review.provenance import Provenance
from pipeline.review.reliability import Reliability
from pipeline.review.section import Section
from pipeline.runs.record import Record
from schema.features import Role
from schema.slices import SliceKey

# --- the verdict ------------------------------------------------------------------


@dataclass(frozen=True)
class GateRow:
    """One condition between a model and its service.

    Attributes:
      name: for example `Accuracy in tranche 2`; of a comparison, the slice.
      value: what was measured, a share or a difference of shares; None if it was not, or is no
        number.
      threshold: the least that was asked.
      passed: None if the run ended before the gate, or there was nothing to check.
      sentence: what it means, in plain words.
      against: of a comparison, the other model; its figures are differences from it.
    """

    name: str
    value: float | None
    threshold: float | None
    passed: bool | None
    sentence: str = ""
    against: str = ""

    @property
    def full_name(self) -> str:
        """The name where nothing else says what is compared."""
        return f"{self.name}, against {self.against}" if self.against else self.name

    @property
    def margin(self) -> float | None:
        """How far the value is above the threshold; negative below."""
        if self.value is None or self.threshold is None:
            return None
        return self.value - self.threshold


# --- slices and confusion matrices -----------------------------------------------


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
      confusion: counts as [actual][predicted], in the order of `features.POSTURES`.
      comparisons: with other models, those that there are.
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
    confusion: list[list[int]]
    comparisons: Mapping[Role, Comparison] = field(default_factory=dict)

    @property
    def key(self) -> SliceKey:
        """The slice for programs."""
        return tuple(zip(self.columns, self.values, strict=True))


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
    "plan": "Acceptance plan",
    "comparison": "Comparison",
    "sign_off": "Sign-off",
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
      errors: what the model gets wrong, beside the model in service.
      plan: what was asked of it, before it was trained.
      comparison: it and other models, slice by slice.
      overall: the metrics of the whole test split.
      groups: its slices, by tranche first.
      least: slices with fewer images than this are hidden at first.
      worst: the slices with the lowest accuracy among those of at least `least`
        images, worst first.
      changes: which answers are others than those of another model.
      calibration: how far its confidence can be trusted.
      pictures: test images to look at.
      data: what it was trained and tested on.
      validation: what was checked of that before.
      training: how it was trained.
      history: all runs, oldest first.
      lineage: what it comes from.
      card: the model card, Markdown.
      missing: why a section is absent, by key of `SECTIONS`.
    """

    run: Record
    sentence: str = ""
    gates: list[GateRow] = field(default_factory=list)
    errors: Errors | None = None
    plan: PublishedPlan | None = None
    comparison: Comparisons | None = None
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
