"""The verdict of a run that reached the pipeline, out of ML Metadata and the artifacts."""

import json
from pathlib import Path
from typing import Any, Final

from components.errors import InputError, memory_was_short
from pipeline.config import PipelineConfig
from pipeline.runs import record
from pipeline.runs.lineage import Artifact, Lineage, Outputs
from pipeline.runs.record import Counts, Finding, Outcome, Stage, Verdict

REVIEW: Final = "ReviewPage"  # the node that decides about nothing

_SEE_LOG: Final = "the log has the details."


def judge(
    config: PipelineConfig,
    run_id: str,
    node_ids: list[str],
    ingestion: list[Stage],
    counts: Counts,
    failure: str = "",
) -> Outcome:
    """Reads the verdict of a run that reached the pipeline out of its artifacts.

    Args:
      config: the settings of the run.
      run_id: the run's name in ML Metadata.
      node_ids: the nodes of the pipeline, in order.
      ingestion: the steps before the pipeline.
      counts: what ingestion counted; the splits are filled in here.
      failure: what a component raised, as a `sentence`; empty if none did, or if nobody
        remembers.

    Returns:
      The outcome, `seconds` excepted.
    """
    lineage = Lineage(config)
    run = lineage.run(run_id)
    if run is None:
        return record.failed(config, run_id, ingestion, counts, failure or _SEE_LOG)
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
    verdict, reasons = _verdict(outputs, findings, components, failure)
    findings += promise_missed(config.wanted_accuracy, metrics.get(record.OVERALL, {}))
    return Outcome(
        run_id=run_id,
        verdict=verdict,
        demo=config.is_demo,
        reasons=reasons,
        findings=findings,
        accuracy=metrics.get(record.OVERALL, {}).get("accuracy"),
        metrics=metrics,
        counts=counts.model_copy(update={"splits": split_counts(statistics) if statistics else {}}),
        components=components,
        paths=record.paths(config, run_id) | _artifact_paths(outputs),
    )


def sentence(error: BaseException) -> str:
    """Says in one line what was raised."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, InputError):
        return text
    words = f"{type(error).__name__}: {text}"
    return memory_was_short(words) or words


def promise_missed(wanted_accuracy: float, overall: dict[str, Any]) -> list[Finding]:
    """Warns of a model that is sure too often.

    Args:
      wanted_accuracy: what its threshold was chosen for, on eval.
      overall: its metrics on all test images; empty if it was not judged.
    """
    reached = overall.get("selective_accuracy")
    if reached is None or reached >= wanted_accuracy:
        return []
    return [
        Finding(
            severity="warning",
            sentence=f"Where the model is sure, it is right on {reached * 100:.1f} % of the test"
            f" images; the wanted {wanted_accuracy * 100:.1f} % held on eval. Do not rely on"
            " them before it is tested on more clips.",
        )
    ]


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
    return _blessing(outputs, "Evaluator")


def serves(outputs: Outputs) -> bool | None:
    """Whether the model passed the ServingCheck; None if it was not checked."""
    return _blessing(outputs, "ServingCheck")


def pushed_model(outputs: Outputs) -> Artifact | None:
    """The Pusher's artifact if it did push."""
    pushed = outputs.get(("Pusher", "pushed_model"))
    return pushed if pushed and pushed.properties.get("pushed") == 1 else None


def _review_failed(components: list[Stage]) -> bool:
    return [stage.name for stage in components if stage.state == "failed"] == [REVIEW]


def _blessing(outputs: Outputs, component: str) -> bool | None:
    """As the Pusher reads it (`tfx.components.util.model_utils`)."""
    blessing = outputs.get((component, "blessing"))
    return None if blessing is None else blessing.properties.get("blessed") == 1


def _verdict(
    outputs: Outputs,
    findings: list[Finding],
    components: list[Stage],
    failure: str,
) -> tuple[Verdict, list[str]]:
    broken = [stage.name for stage in components if stage.state == "failed"]
    # By then the verdict is out, and a page can be drawn again.
    if not _review_failed(components) and (failure or broken):
        where = f"{' and '.join(broken)} failed: " if broken else ""
        return "failed", [where + (failure or _SEE_LOG)]
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
        from pipeline.runs import evaluation_result

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
    from pipeline.runs import evaluation_result

    return evaluation_result.read_metrics(evaluation.uri)


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
