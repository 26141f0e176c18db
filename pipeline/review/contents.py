"""What a review page shows, section by section. No figure is computed here, none is drawn.

`pipeline.review.collect` fills it in from ML Metadata and the run's artifacts;
`pipeline.review.page` draws it. A section is None where the run ended before it;
`Review.missing` then says why.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from components.training import calibration
from pipeline.runs.record import Record
from pipeline.runs.run import Contradiction, Finding, Reject

# --- 1 the verdict ------------------------------------------------------------------


@dataclass(frozen=True)
class GateRow:
    """One condition between a model and its service.

    Attributes:
      name: for example `Accuracy in tranche 2`.
      value: what was measured, None if it was not or is no number.
      threshold: what was asked, in the same unit.
      passed: None if the run ended before the gate.
      sentence: what it means, in plain words.
    """

    name: str
    value: float | None
    threshold: float | None
    passed: bool | None
    sentence: str

    @property
    def margin(self) -> float | None:
        """How far the value is above the threshold; negative below."""
        if self.value is None or self.threshold is None:
            return None
        return self.value - self.threshold


@dataclass(frozen=True)
class Baseline:
    """The blessed model that the candidate would replace.

    Attributes:
      model_id: its number in ML Metadata.
      run_id: the run that trained it.
      accuracy: on the test images of this run, 0 to 1.
      difference: the candidate's accuracy less the baseline's.
      low: 95 % confidence bound of the difference; None if TFMA gave none.
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


# --- 4 calibration --------------------------------------------------------------------


@dataclass(frozen=True)
class CalibrationBin:
    """Test images whose top probability lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float  # mean top probability
    accuracy: float


@dataclass(frozen=True)
class CoveragePoint:
    """What happens if predictions below a confidence are left to a person."""

    threshold: float  # least confidence that is accepted
    coverage: float  # share of the test images that the model decides
    accuracy: float  # on those


@dataclass(frozen=True)
class Calibration:
    """How far the model's confidence can be believed; bins without images are left out."""

    bins: list[CalibrationBin]
    error: float  # expected calibration error, 0 (best) to 1
    coverage: list[CoveragePoint]
    fitted: calibration.Calibration | None  # on the eval split; None for models from before it


# --- 5 pictures -----------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """A test image that is shown.

    Attributes:
      file_name: its name, as in the label table.
      clip: its clip.
      labels: the label columns by name, `tranche` included, and the values of the
        quality slices; what a slice's `columns` and `values` are looked up in.
      actual: its label.
      predicted: the model's.
      probabilities: by posture.
      thumbnail: JPEG bytes.
      attention: JPEG bytes of the thumbnail under its Grad-CAM map; None if not drawn.
      label_quality: self-confidence score of confident learning, 0 (worst) to 1.
    """

    file_name: str
    clip: str
    labels: dict[str, str]
    actual: str
    predicted: str
    probabilities: dict[str, float]
    thumbnail: bytes
    attention: bytes | None
    label_quality: float


@dataclass(frozen=True)
class Pictures:
    """The pictures of the page, each once.

    Attributes:
      shown: all of them.
      mistakes: indices into `shown`: the most confident errors, worst first.
      label_errors: indices into `shown`: likely label errors, likeliest first.
      cells: (actual, predicted) to indices into `shown`: a few of each cell and slice.
      label_error_count: how many test images confident learning doubts in all.
      mistake_count: how many test images are wrong in all.
    """

    shown: list[Picture]
    mistakes: list[int]
    label_errors: list[int]
    cells: dict[tuple[str, str], list[int]]
    label_error_count: int
    mistake_count: int


# --- 6 the data -----------------------------------------------------------------------


@dataclass(frozen=True)
class NearDuplicate:
    """Two images of different clips that look the same."""

    file_names: tuple[str, str]
    clips: tuple[str, str]
    tranches: tuple[str, str]
    splits: tuple[str, str]
    distance: int  # differing bits of the 64-bit perceptual hashes

    @property
    def crosses_splits(self) -> bool:
        """Whether one side may teach what the other side examines."""
        return self.splits[0] != self.splits[1] and "unselected" not in self.splits


@dataclass(frozen=True)
class MeasureSummary:
    """One measure of the images of one tranche, in quantiles."""

    measure: str  # a name of `features.MEASURES`, `width` or `height`
    tranche: str
    low: float  # 5 %
    lower: float  # 25 %
    median: float
    upper: float  # 75 %
    high: float  # 95 %


@dataclass(frozen=True)
class Data:
    """What the model was made from and judged on.

    Attributes:
      images: images in the TFRecords.
      clips: clips among them.
      splits: images by split.
      clips_by_split: clips by split.
      labels: images by column, tranche and value; blank cells are `(blank)`.
      by_posture: images by column (posture excepted), value and posture.
      images_per_clip: number of clips by number of images.
      measures: sizes, light and sharpness by tranche.
      duplicates: near-duplicates across clips, those across splits first, then the nearest;
        no more than are shown.
      duplicate_count: how many there are in all.
      duplicates_across_splits: how many of them cross splits that matter.
      duplicate_distance: largest distance that counts as a near-duplicate, bits.
      rejects: what is not in the data.
      contradictions: what contradicts itself.
    """

    images: int
    clips: int
    splits: dict[str, int]
    clips_by_split: dict[str, int]
    labels: dict[str, dict[str, dict[str, int]]]
    by_posture: dict[str, dict[str, dict[str, int]]]
    images_per_clip: dict[int, int]
    measures: list[MeasureSummary]
    duplicates: list[NearDuplicate]
    duplicate_count: int
    duplicates_across_splits: int
    duplicate_distance: int
    rejects: list[Reject]
    contradictions: list[Contradiction]


# --- 7 validation ---------------------------------------------------------------------


@dataclass(frozen=True)
class SchemaRow:
    """One column in the curated and in the inferred schema; empty where it is absent."""

    column: str
    curated: str
    inferred: str
    differs: bool


@dataclass(frozen=True)
class Drift:
    """How far the postures of two tranches are apart."""

    tranches: tuple[str, str]
    distance: float  # L-infinity, 0 to 1
    threshold: float


@dataclass(frozen=True)
class Validation:
    """What was checked about the data before training."""

    passed: bool
    findings: list[Finding]
    schema: list[SchemaRow]
    drift: list[Drift]


# --- 8 training -----------------------------------------------------------------------


@dataclass(frozen=True)
class Epoch:
    """One pass over the training split; `number` counts through all phases from 1."""

    phase: str
    number: int
    loss: float
    accuracy: float
    eval_loss: float
    eval_accuracy: float


@dataclass(frozen=True)
class Phase:
    """One phase of the training."""

    name: str
    epochs: int  # that were run
    most_epochs: int  # that were allowed
    learning_rate: float  # the highest of it
    kept_epoch: int  # the one whose weights were kept; `Epoch.number`


@dataclass(frozen=True)
class Training:
    """How the model was trained.

    Attributes:
      phases: in order.
      epochs: of all phases, in order.
      class_weights: by posture; None if the classes were not weighted.
      images: training images of one epoch.
      seen: images that went through the model, over all epochs.
      seconds: of the Trainer, in the run that trained the model.
      cached: whether that was an earlier run.
    """

    phases: list[Phase]
    epochs: list[Epoch]
    class_weights: dict[str, float] | None
    images: int
    seen: int
    seconds: float
    cached: bool


# --- 10 lineage -----------------------------------------------------------------------


@dataclass(frozen=True)
class LineageRow:
    """One artifact of the run."""

    component: str
    state: str
    output: str
    type: str
    artifact_id: int
    path: str


@dataclass(frozen=True)
class Lineage:
    """What came from what.

    Attributes:
      artifacts: of the run, in order.
      digests: SHA-256 of data and code by what they are of.
      versions: of Python and the packages.
      settings: of the run, by key.
      commands: that reproduce the run, a line each.
    """

    artifacts: list[LineageRow]
    digests: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    commands: list[str]


# --- the page -------------------------------------------------------------------------

SECTIONS: Final = {
    "gates": "Verdict",
    "slices": "Slices",
    "confusion": "Confusion matrices",
    "calibration": "Calibration",
    "pictures": "Mistakes worth a look",
    "data": "The data",
    "validation": "Validation",
    "training": "Training",
    "history": "History",
    "lineage": "Lineage",
    "card": "Model card",
}


@dataclass(frozen=True)
class Review:
    """Everything on the page.

    Attributes:
      run: the run itself.
      gates: in the order of the pipeline.
      baseline: what the model would replace.
      overall: the metrics of the whole test split.
      groups: its slices, by tranche first.
      least: slices below this many images are hidden at first.
      worst: the slices with the lowest accuracy among those of at least `least`
        images, worst first.
      calibration: section 4.
      pictures: section 5.
      data: section 6.
      validation: section 7.
      training: section 8.
      history: section 9, oldest first.
      lineage: section 10.
      card: section 11, Markdown.
      missing: why a section is not there, by key of `SECTIONS`.
    """

    run: Record
    sentence: str
    gates: list[GateRow] = field(default_factory=list)
    baseline: Baseline | None = None
    overall: Slice | None = None
    groups: list[SliceGroup] = field(default_factory=list)
    least: int = 20
    worst: list[Slice] = field(default_factory=list)
    calibration: Calibration | None = None
    pictures: Pictures | None = None
    data: Data | None = None
    validation: Validation | None = None
    training: Training | None = None
    history: list[Record] = field(default_factory=list)
    lineage: Lineage | None = None
    card: str = ""
    missing: dict[str, str] = field(default_factory=dict)
