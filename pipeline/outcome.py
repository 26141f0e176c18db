"""What a run came to: its verdict and figures, for people and as OUT/run.json for programs."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.errors import InputError
from pipeline.config import PipelineConfig
from pipeline.lineage import Artifact, Lineage, Outputs, State

Verdict = Literal["pushed", "not_blessed", "invalid_data", "failed"]

# Exit status of the command by verdict; 2 is left to usage.
EXIT_STATUS: Final[dict[Verdict, int]] = {
    "pushed": 0,
    "not_blessed": 3,
    "invalid_data": 4,
    "failed": 1,
}

INFRA_BLESSED: Final = "INFRA_BLESSED"  # TFX's word in an InfraBlessing
OVERALL: Final = "overall"  # the slice of all test images in `Outcome.metrics`


class Finding(BaseModel):
    """Something about the data, in a sentence; a blocking one stops the run."""

    severity: Literal["blocking", "warning"]
    sentence: str


class Counts(BaseModel):
    """How much data there was.

    Attributes:
      rows: rows of the label tables.
      images: images in the TFRecords.
      rejected: rows and files that are not in them, each in a table with its reason.
      clips: different clips among the images.
      splits: images by split; empty if the run ended before.
    """

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


class Outcome(BaseModel):
    """Everything there is to say about a run.

    Attributes:
      run_id: also the name of the run in ML Metadata and of its log.
      verdict: see `EXIT_STATUS`.
      demo: whether the run drew its own data; its accuracy then says nothing
        about the clinic.
      reasons: why the verdict is not `pushed`, each a sentence.
      findings: what the gate found in the data.
      accuracy: on all test images, 0 to 1; None if the run ended before.
      metrics: by slice, see `evaluation_result.read_metrics`.
      counts: how much data there was.
      components: the steps in order.
      seconds: from the command to the verdict.
      paths: where things are, absolute.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    verdict: Verdict
    demo: bool
    reasons: list[str] = []
    findings: list[Finding] = []
    accuracy: float | None = None
    metrics: dict[str, dict[str, Any]] = {}
    counts: Counts = Counts()
    components: list[Stage] = []
    seconds: float = 0.0
    paths: dict[str, str] = {}

    @property
    def exit_status(self) -> int:
        """What the command returns to the shell."""
        return EXIT_STATUS[self.verdict]


def judge(
    config: PipelineConfig,
    run_id: str,
    node_ids: list[str],
    ingestion: list[Stage],
    counts: Counts,
    error: BaseException | None = None,
) -> Outcome:
    """Reads the verdict of a run that reached the pipeline out of its artifacts.

    Args:
      config: the settings of the run.
      run_id: the run's name in ML Metadata.
      node_ids: the nodes of the pipeline, in order.
      ingestion: the steps before the pipeline.
      counts: what ingestion counted; the splits are filled in here.
      error: what a component raised, if one did.

    Returns:
      The outcome, `seconds` excepted.
    """
    lineage = Lineage(config.metadata_path)
    run = lineage.run(run_id)
    if run is None:
        return failed(config, run_id, ingestion, counts, _sentence(error))
    outputs = lineage.outputs(run)
    components = [
        *ingestion,
        *(
            Stage(name=node.name, state=node.state, seconds=round(node.seconds, 3))
            for node in lineage.components(run, node_ids)
        ),
    ]
    statistics = outputs.get(("StatisticsGen", "statistics"))
    evaluation = outputs.get(("Evaluator", "evaluation"))
    gate = outputs.get(("ValidationGate", "verdict"))
    findings = _findings(gate) if gate else []
    metrics = _metrics(evaluation) if evaluation else {}
    verdict, reasons = _verdict(outputs, findings, components, error)
    return Outcome(
        run_id=run_id,
        verdict=verdict,
        demo=config.is_demo,
        reasons=reasons,
        findings=findings,
        accuracy=metrics.get(OVERALL, {}).get("accuracy"),
        metrics=metrics,
        counts=counts.model_copy(update={"splits": split_counts(statistics) if statistics else {}}),
        components=components,
        paths=_paths(config, run_id) | _artifact_paths(outputs),
    )


def failed(
    config: PipelineConfig,
    run_id: str,
    stages: list[Stage],
    counts: Counts,
    reason: str,
    verdict: Verdict = "failed",
) -> Outcome:
    """The outcome of a run that ended before there was anything to judge.

    Args:
      config: the settings of the run.
      run_id: its name.
      stages: how far it came.
      counts: what had been counted.
      reason: a sentence.
      verdict: `failed`, or `invalid_data` if ingestion refused the data.
    """
    findings = (
        [Finding(severity="blocking", sentence=reason)] if verdict == "invalid_data" else []
    )
    return Outcome(
        run_id=run_id,
        verdict=verdict,
        demo=config.is_demo,
        reasons=[reason],
        findings=findings,
        counts=counts,
        components=stages,
        paths=_paths(config, run_id),
    )


def write(outcome: Outcome, path: Path) -> None:
    """Writes the outcome as JSON; a reader sees the old file or the new one, never a part.

    Args:
      outcome: what to write.
      path: the file; its folder exists.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(outcome.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: Path) -> Outcome | None:
    """Reads a run.json.

    Args:
      path: the file.

    Returns:
      The outcome, or None if there is no such file.

    Raises:
      InputError: the file is not one that `write` wrote.
    """
    try:
        return Outcome.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise InputError(
            f"{path} is not the record of a run; move it away to go on."
        ) from error


def split_counts(statistics: Artifact) -> dict[str, int]:
    """Counts the images of each split.

    Args:
      statistics: StatisticsGen's output.

    Returns:
      Images by split.
    """
    from tensorflow_metadata.proto.v0 import statistics_pb2

    counts = {}
    for split in json.loads(statistics.properties["split_names"]):
        content = (statistics.folder / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        datasets = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
        counts[split] = max((int(dataset.num_examples) for dataset in datasets), default=0)
    return counts


def gate_refused(outputs: Outputs) -> bool:
    """Whether the ValidationGate stopped the run."""
    gate = outputs.get(("ValidationGate", "verdict"))
    return gate is not None and gate.properties.get("passed") != 1


def blessed(outputs: Outputs) -> bool | None:
    """Whether the Evaluator blessed the model; None if it did not judge it."""
    blessing = outputs.get(("Evaluator", "blessing"))
    return None if blessing is None else blessing.properties.get("blessed") == 1


def serves(outputs: Outputs) -> bool | None:
    """Whether the model passed the ServingCheck; None if it was not checked."""
    blessing = outputs.get(("ServingCheck", "blessing"))
    return None if blessing is None else blessing.properties.get("blessing_status") == INFRA_BLESSED


def pushed_model(outputs: Outputs) -> Artifact | None:
    """The Pusher's artifact if it did push."""
    pushed = outputs.get(("Pusher", "pushed_model"))
    return pushed if pushed and pushed.properties.get("pushed") == 1 else None


def _verdict(
    outputs: Outputs,
    findings: list[Finding],
    components: list[Stage],
    error: BaseException | None,
) -> tuple[Verdict, list[str]]:
    broken = [stage.name for stage in components if stage.state == "failed"]
    if error is not None or broken:
        where = f"{' and '.join(broken)} failed: " if broken else ""
        return "failed", [where + _sentence(error)]
    if gate_refused(outputs):
        blocking = [finding.sentence for finding in findings if finding.severity == "blocking"]
        return "invalid_data", blocking
    pushed = pushed_model(outputs)
    if pushed:
        destination = Path(pushed.properties["pushed_destination"])
        if destination.is_dir():
            return "pushed", []
        return "failed", [
            f"An earlier run pushed this model to {destination}, but the folder is gone;"
            " put it back, or run with another --output-root."
        ]
    reasons = []
    if blessed(outputs) is False:
        from pipeline import evaluation_result

        reasons += evaluation_result.refusals(outputs["Evaluator", "evaluation"].uri)
    if serves(outputs) is False:
        folder = outputs["ServingCheck", "blessing"].folder
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        reasons += [case["sentence"] for case in report["cases"] if not case["passed"]]
    if not reasons:
        return "failed", ["The model was blessed, but not pushed; the log has the details."]
    return "not_blessed", reasons


def _findings(gate: Artifact) -> list[Finding]:
    content = json.loads((gate.folder / "findings.json").read_text(encoding="utf-8"))
    return [Finding.model_validate(finding) for finding in content]


def _metrics(evaluation: Artifact) -> dict[str, dict[str, Any]]:
    from pipeline import evaluation_result

    return evaluation_result.read_metrics(evaluation.uri)


def _paths(config: PipelineConfig, run_id: str) -> dict[str, str]:
    return {
        "output": str(config.output_root),
        "data": str(config.data_dir),
        "metadata": str(config.metadata_path),
        "record": str(config.record_path),
        "log": str(config.log_path(run_id)),
    }


def _artifact_paths(outputs: Outputs) -> dict[str, str]:
    places = {
        "statistics": ("StatisticsGen", "statistics"),
        "model": ("Trainer", "model"),
        "training": ("Trainer", "model_run"),
        "evaluation": ("Evaluator", "evaluation"),
    }
    paths = {name: outputs[key].uri for name, key in places.items() if key in outputs}
    pushed = pushed_model(outputs)
    if pushed:
        paths["pushed"] = pushed.properties["pushed_destination"]
    return paths


def _sentence(error: BaseException | None) -> str:
    if error is None:
        return "the log has the details."
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


