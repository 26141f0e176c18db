"""What a run is: the typed, frozen read model that every reader of a run uses.

`pipeline.runs.reader` builds a `Run`; `pipeline.runs.verdict` says what it came to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from components.examples.findings import Finding
from components.judging.decision import Decision
from components.judging.plan import Plan
from components.serving.versions import SignOff, SignOffKind, Version
from pipeline.config import PipelineConfig
from pipeline.runs.left_out import Contradiction, Reject
from schema.features import Role
from schema.slices import SliceKey

REVIEW: Final = "ReviewPage"  # the node that decides nothing

# How a step stands; `skipped` means that ML Metadata has no execution of it.
State = Literal["ran", "cached", "failed", "skipped", "running"]

_FROZEN: Final = ConfigDict(frozen=True)
_FORMER_FLOORS: Final = ("accuracy_floor", "tranche_accuracy_floor", "coverage_floor")


class Counts(BaseModel):
    """How much data there was.

    Attributes:
      rows: rows of the label tables.
      images: images in the TFRecords.
      rejected: rows and files that are not in them, each in a table with its reason.
      clips: different clips among the images.
      splits: images by split; empty if the run ended before StatisticsGen.
    """

    model_config = _FROZEN

    rows: int = 0
    images: int = 0
    rejected: int = 0
    clips: int = 0
    splits: dict[str, int] = {}


class Stage(BaseModel):
    """One step of the run, ingestion included, and how it ended."""

    name: str
    state: State
    seconds: float


class Snapshot(BaseModel):
    """What only the run itself knew, kept in OUT/review/RUN/run.json.

    Attributes:
      run_id: the name of the run, in ML Metadata too.
      config: its settings.
      started: when the command was given, seconds since 1970.
      versions: of Python and of the packages that figures depend on.
      stages: the steps before the pipeline.
      counts: what ingestion counted.
      rejects: what is not in the data.
      contradictions: rows that contradict themselves.
      tranche_digests: SHA-256 of what each tranche's TFRecords were made from.
      nodes: the nodes of the pipeline, in order; empty if the run ended before it.
      warnings: what the process that worked has to say beside the verdict.
      refused: whether ingestion refused the data.
      failure: why the run broke off, a sentence; empty if it did not, or nobody could say.
    """

    run_id: str
    config: PipelineConfig
    started: float
    versions: dict[str, str] = {}
    stages: list[Stage] = []
    counts: Counts = Counts()
    rejects: list[Reject] = []
    contradictions: list[Contradiction] = []
    tranche_digests: dict[str, str] = {}
    nodes: list[str] = []
    warnings: list[Finding] = []
    refused: bool = False
    failure: str = ""

    @field_validator("config", mode="before")
    @classmethod
    def _of_earlier_runs(cls, config: Any) -> Any:
        """Reads the settings of runs whose floors stood beside the others, not in a table."""
        if not isinstance(config, dict) or "max_accuracy_drop" not in config:
            return config
        moved = dict(config)
        drop = moved.pop("max_accuracy_drop")
        floors = {name: moved.pop(name) for name in _FORMER_FLOORS if name in moved}
        return moved | {"acceptance": floors | {"in_service": {"overall": drop}}}


@dataclass(frozen=True)
class Artifact:
    """What a component put out.

    Attributes:
      id: ML Metadata's number.
      type: name of TFX's artifact type, for example `ModelBlessing`.
      uri: its folder, in the output folder that the run was read from.
      properties: properties and custom properties by name.
      created: milliseconds since 1970, UTC.
      made_by: the run that made it, however often later runs took it from the cache.
      seconds: how long its component took to make it.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Any]
    created: int
    made_by: str
    seconds: float

    @property
    def folder(self) -> Path:
        """The folder of the artifact."""
        return Path(self.uri)


# Artifacts by node id and key of the output, or input.
Artifacts = Mapping[tuple[str, str], Artifact]


class SliceMetrics(BaseModel):
    """The candidate model on one slice of the test split. Shares are from 0 to 1.

    None where a figure is not defined: a class that does not occur, nothing that the model is sure
    of, too few clips for an interval.

    Attributes:
      example_count: images.
      accuracy: share that is right, with its 95 % interval (`components.intervals`).
      macro_f1: mean F1 score of the postures; None in a slice of a single posture.
      cross_entropy: mean, nats.
      expected_calibration_error: mean gap between confidence and accuracy.
      coverage: share that the model is sure of.
      selective_accuracy: accuracy among those.
      precision: by posture.
      recall: by posture.
      f1: by posture.
      confusion_matrix: images as [actual][predicted], in the order of `features.POSTURES`.
    """

    model_config = _FROZEN

    example_count: int
    accuracy: float
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    macro_f1: float | None = None
    cross_entropy: float | None = None
    expected_calibration_error: float | None = None
    coverage: float | None = None
    selective_accuracy: float | None = None
    precision: dict[str, float | None] = {}
    recall: dict[str, float | None] = {}
    f1: dict[str, float | None] = {}
    confusion_matrix: list[list[int]] = []


class Gate(BaseModel):
    """A condition between the data and a model in service, as the component that set it found.

    Attributes:
      kind: `contract` is the ValidationGate's, `serving` the ServingCheck's, `accuracy` and
        `coverage` are the Evaluator's, `recall` and `no_worse` the AcceptanceGate's.
      place: the slice that it is about; values are empty if the test split has no such slice.
      against: the model that the candidate is compared with; None for other gates.
      value: what was measured, for `no_worse` the difference; None where nothing could be.
      limit: the least that passes; None for gates that are no threshold.
      passed: None if the run ended before it, there was nothing to check, or too little to decide.
      note: what the component says of it, a sentence; may be empty.
    """

    model_config = _FROZEN

    kind: Literal["contract", "accuracy", "coverage", "recall", "no_worse", "serving"]
    place: SliceKey = ()
    against: Role | None = None
    value: float | None = None
    limit: float | None = None
    passed: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What the Evaluator found.

    Attributes:
      slices: metrics by slice; all test images first, then in the order of the columns.
      gates: its thresholds and how the model met them.
    """

    slices: Mapping[SliceKey, SliceMetrics]
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class ServingReport:
    """What the ServingCheck found: the kinds of request, and a sentence for each that failed."""

    cases: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """A model that was judged by a plan.

    Attributes:
      run_id: the first run that judged it.
      started: that run's start, seconds since 1970.
      model_id: its number in ML Metadata.
    """

    run_id: str
    started: float
    model_id: int


# By tranche, the models that its test clips have judged, in the order of their runs.
Ledger = Mapping[str, tuple[Judgement, ...]]


@dataclass(frozen=True)
class Run:
    """One run, out of ML Metadata, its artifacts and its snapshot.

    Attributes:
      snapshot: what only the run itself knew.
      components: the nodes of the pipeline in order, and how they stand; empty if the run
        ended before it.
      ended: end of the last component other than the page, seconds since 1970; None if there
        is none.
      outputs: artifacts by node and output key.
      inputs: artifacts by node and input key.
      properties: execution properties by node and name.
      splits: images by split.
      findings: what the ValidationGate found in the data.
      plan: what was asked of a model before it was trained; None if the run had no plan.
      decision: what the AcceptanceGate found; None if it was not asked.
      serving: what the ServingCheck found; None if it was not asked.
      sign_offs: what people decided about the run's model, oldest first; also that they took it
        out of service.
      pushed: the number of the version that the run's model was pushed as, by this run or an
        earlier one; None if this run's Pusher did not push or find it, and nobody approved it.
      versions: what a server takes for versions now, oldest first.
      read_evaluation: see `evaluation`.
      read_ledger: see `ledger`.
    """

    snapshot: Snapshot
    components: tuple[Stage, ...] = ()
    ended: float | None = None
    outputs: Artifacts = field(default_factory=dict)
    inputs: Artifacts = field(default_factory=dict)
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    decision: Decision | None = None
    serving: ServingReport | None = None
    sign_offs: tuple[SignOff, ...] = ()
    pushed: int | None = None
    versions: tuple[Version, ...] = ()
    read_evaluation: Callable[[], Evaluation | None] = lambda: None
    read_ledger: Callable[[], Ledger] = dict

    @property
    def id(self) -> str:
        """The name of the run."""
        return self.snapshot.run_id

    @property
    def config(self) -> PipelineConfig:
        """The settings of the run."""
        return self.snapshot.config

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All steps, those of ingestion first."""
        return (*self.snapshot.stages, *self.components)

    @property
    def seconds(self) -> float:
        """From the command to the verdict; the page is drawn after it."""
        if self.ended is None:
            return sum(stage.seconds for stage in self.snapshot.stages)
        return max(0.0, self.ended - self.snapshot.started)

    @property
    def counts(self) -> Counts:
        """How much data there was."""
        return self.snapshot.counts.model_copy(update={"splits": dict(self.splits)})

    @property
    def model(self) -> Artifact | None:
        """The model that the run trained or took from the cache."""
        return self.outputs.get(("Trainer", "model"))

    def compared_with(self, role: Role) -> Artifact | None:
        """The model that the run's own was compared with; None if there was none.

        ML Metadata keeps one input of a model that is in service and the reference as well.
        """
        other = self.decision.others.get(role) if self.decision else None
        found = (each for each in self.inputs.values() if other and each.id == other.model_id)
        return next(found, None)

    @property
    def gate_passed(self) -> bool | None:
        """Whether the ValidationGate let the data pass; None if it was not asked."""
        return self._answer("ValidationGate", "verdict", "passed")

    @property
    def blessed(self) -> bool | None:
        """Whether the Evaluator blessed the model; None if it did not judge it."""
        return self._answer("Evaluator", "blessing", "blessed")

    @property
    def serves(self) -> bool | None:
        """Whether the ServingCheck blessed the model; None if it was not asked."""
        return self._answer("ServingCheck", "blessing", "blessed")

    @property
    def awaits_sign_off(self) -> bool:
        """Whether every gate passed the model, and a person had to decide when the run ended."""
        return self._answer("Pusher", "pushed_model", "awaits_sign_off") is True

    @property
    def in_service(self) -> Version | None:
        """The version that a server reads now; None if there is none, or it is not whole."""
        *_, last = (None, *self.versions)
        return last if last and not last.damage else None

    @property
    def version(self) -> Version | None:
        """The newest whole version of the model that was pushed; None if there is none (now)."""
        model = self.model
        if self.pushed is None or model is None:
            return None
        same = [each for each in self.versions if each.holds(model.id, model.created)]
        return same[-1] if same else None

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """What the Evaluator found; None if it did not judge the model.

        Read when it is first asked for: TensorFlow Model Analysis takes 20 s to import, and
        the verdict does not need it.
        """
        return self.read_evaluation()

    @cached_property
    def ledger(self) -> Ledger:
        """The models that the run's test clips have judged up to it, by tranche."""
        return self.read_ledger()

    @property
    def overall(self) -> SliceMetrics | None:
        """Metrics of all test images."""
        return self.evaluation.slices.get(()) if self.evaluation else None

    def kept(self, node: str, key: str) -> Artifact | None:
        """An output whose folder is still there; a purge may have removed it since."""
        artifact = self.outputs.get((node, key))
        return artifact if artifact and artifact.folder.exists() else None

    def signed(self, kind: SignOffKind) -> SignOff | None:
        """A person's decision of that kind about this run's model; None if there is none."""
        of_run = (each for each in self.sign_offs if each.run_id == self.id)
        return next((each for each in of_run if each.kind == kind), None)

    def _answer(self, node: str, key: str, name: str) -> bool | None:
        artifact = self.outputs.get((node, key))
        return None if artifact is None else artifact.properties.get(name) == 1
