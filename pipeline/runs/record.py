"""OUT/run.json: the last run for programs, in words of its own `Run`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from components.errors import InputError
from components.examples.findings import Finding
from components.judging.decision import Comparison, Decision
from components.judging.plan import Plan
from components.serving.versions import SignOff
from pipeline.runs import snapshot, verdict
from pipeline.runs.evaluation_result import slice_name
from pipeline.runs.reader import Runs
from pipeline.runs.run import Counts, Gate, Run, SliceMetrics, Stage
from pipeline.runs.verdict import Verdict
from schema import features
from schema.slices import SliceKey

# Exit status of the command by verdict; 2 is left to usage.
EXIT_STATUS: Final[dict[Verdict, int]] = {
    "pushed": 0,
    "superseded": 0,  # it was in service until another run pushed
    "withdrawn": 1,
    "awaiting_sign_off": 5,
    "rejected": 3,
    "not_blessed": 3,
    "invalid_data": 4,
    "failed": 1,
    "unfinished": 1,
}


class Record(BaseModel):
    """A run, as run.json and `lookdeep status --json` have it.

    Attributes:
      run_id: also the name of the run in ML Metadata and of its log.
      started: ISO 8601, UTC.
      verdict: see `pipeline.runs.verdict.MEANINGS`.
      demo: whether the run drew its own data; its accuracy then says nothing about the clinic.
      reasons: why the model is not in service, each a sentence.
      gates: the conditions between the data and a model in service.
      plan: what was asked of the model before it was trained; None if there was no plan.
      decision: what the AcceptanceGate found; None if it was not asked.
      judged: how many models the test clips have judged by now, this one as well, by tranche.
      findings: what there is to say beside them.
      sign_offs: what people decided about the model.
      model: number of its model in ML Metadata; None if it has none.
      accuracy: on all test images, 0 to 1; None if no model was judged.
      metrics: by slice; `overall` is all test images.
      counts: how much data there was.
      components: the steps in order, those of ingestion first.
      seconds: from the command to the verdict.
      paths: where things are, absolute.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    started: str
    verdict: Verdict
    demo: bool
    reasons: list[str]
    gates: list[Gate]
    plan: Plan | None = None
    decision: Decision | None = None
    judged: dict[str, int] = {}
    findings: list[Finding]
    sign_offs: list[SignOff] = []  # records of earlier code lack it
    model: int | None
    accuracy: float | None
    metrics: dict[str, SliceMetrics]
    counts: Counts
    components: list[Stage]
    seconds: float
    paths: dict[str, str]

    @property
    def by_tranche(self) -> dict[str, SliceMetrics]:
        """Metrics of the tranches by name."""
        prefix = f"{features.TRANCHE}="
        return {
            name.removeprefix(prefix): metrics
            for name, metrics in self.metrics.items()
            if name.startswith(prefix) and ", " not in name
        }

    def compared(self, place: SliceKey) -> Comparison | None:
        """The comparison with the model in service in a slice, if there is one."""
        for each in self.decision.comparisons if self.decision else ():
            if each.against == "in_service" and each.place == place:
                return each
        return None

    @property
    def exit_status(self) -> int:
        """What the command returns to the shell."""
        return EXIT_STATUS[self.verdict]


def record(run: Run) -> Record:
    """Puts a run into the words of run.json."""
    overall = run.overall
    slices = run.evaluation.slices if run.evaluation else {}
    return Record(
        run_id=run.id,
        started=moment(run.snapshot.started),
        verdict=verdict.verdict(run),
        demo=run.config.is_demo,
        reasons=verdict.reasons(run),
        gates=verdict.gates(run),
        plan=run.plan,
        decision=run.decision,
        judged={tranche: len(models) for tranche, models in run.ledger.items()},
        findings=verdict.findings(run),
        sign_offs=list(run.sign_offs),
        model=run.model.id if run.model else None,
        accuracy=overall.accuracy if overall else None,
        metrics={slice_name(key): metrics for key, metrics in slices.items()},
        counts=run.counts,
        components=list(run.stages),
        seconds=round(run.seconds, 3),
        paths=_paths(run),
    )


def refresh(runs: Runs) -> None:
    """Brings run.json up to what people have decided since; nothing is judged again."""
    path = runs.config.record_path
    former = read(path)
    if former is None:
        return
    run = runs.read(former.run_id)
    now = {
        "verdict": verdict.verdict(run),
        "reasons": verdict.reasons(run),
        "sign_offs": list(run.sign_offs),
        "paths": _paths(run),
    }
    write(former.model_copy(update=now), path)


def write(content: Record, path: Path) -> None:
    """Writes run.json, see `snapshot.write_json`."""
    snapshot.write_json(content, path)


def read(path: Path) -> Record | None:
    """Reads a run.json; None if there is no such file.

    Raises:
      InputError: the file is not one that `write` wrote.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise InputError(f"{path} is not the record of a run; move it away to go on.") from error


def moment(seconds: float) -> str:
    """A time for people and programs: ISO 8601, UTC, whole seconds.

    Args:
      seconds: since 1970.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _paths(run: Run) -> dict[str, str]:
    """Where the things are that there are, by name."""
    config = run.config
    artifacts = {
        "statistics": ("StatisticsGen", "statistics"),
        "model": ("Trainer", "model"),
        "training": ("Trainer", "model_run"),
        "evaluation": ("Evaluator", "evaluation"),
    }
    page = snapshot.page_path(config.output_root, run.id)
    return {
        "output": str(config.output_root),
        "data": str(config.data_dir),
        "metadata": str(config.metadata_store),
        "record": str(config.record_path),
        "log": str(config.log_path(run.id)),
        **{name: run.outputs[key].uri for name, key in artifacts.items() if key in run.outputs},
        **({"pushed": str(run.version.folder)} if run.version else {}),
        **({"review": str(page)} if page.exists() else {}),
    }
