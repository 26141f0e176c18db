"""Section 1: what the run came to, gate by gate."""

import json
from collections.abc import Iterator
from typing import Final

from pipeline.config import PipelineConfig
from pipeline.review.contents import Baseline, Gate, RunFacts, Slice
from pipeline.runs.lineage import Outputs
from pipeline.runs.record import Outcome, moment
from pipeline.runs.snapshot import Snapshot
from schema import features

# As the Evaluator's thresholds allow (`pipeline.evaluation`): differences of quotients round.
_ROUNDING: Final = 1e-9


def run_facts(
    snapshot: Snapshot, outcome: Outcome, overall: Slice | None, baseline: Baseline | None
) -> RunFacts:
    """Says what the run came to.

    Args:
      snapshot: the run as its worker saw it.
      outcome: its verdict.
      overall: metrics of the whole test split, if it was judged.
      baseline: what it was compared with.
    """
    return RunFacts(
        run_id=snapshot.run_id,
        started=moment(snapshot.started),
        verdict=outcome.verdict,
        demo=outcome.demo,
        sentence=_sentence(outcome, overall, baseline),
        reasons=outcome.reasons,
        accuracy=overall.accuracy if overall else None,
        low=overall.low if overall else None,
        high=overall.high if overall else None,
        test_images=overall.count if overall else 0,
        seconds=outcome.seconds,
        stages=outcome.components,
        pushed_to=outcome.paths.get("pushed"),
    )


def gates(
    config: PipelineConfig,
    outcome: Outcome,
    outputs: Outputs,
    slices: list[Slice],
    baseline: Baseline | None,
) -> list[Gate]:
    """The conditions between the data and a model in service, in the order of the pipeline.

    Args:
      config: the settings of the run.
      outcome: its verdict and findings.
      outputs: its artifacts.
      slices: metrics of the whole test split and of each tranche; empty if it was not judged.
      baseline: what the model was compared with.
    """
    return [
        _contract(outcome, outputs),
        *_floors(config, slices),
        *_coverage(config, slices),
        _comparison(config, slices, baseline),
        _serving(outputs),
    ]


def _sentence(outcome: Outcome, overall: Slice | None, baseline: Baseline | None) -> str:
    judged = ""
    if overall:
        judged = f"It is right on {overall.accuracy * 100:.1f} % of {overall.count:,} test images"
        if baseline:
            judged += f", {_compared(baseline.difference * 100)} the model in service"
        judged += "."
    match outcome.verdict:
        case "pushed":
            return f"The new model passed every gate and was pushed. {judged}"
        case "not_blessed":
            return f"The new model was not pushed. {judged}"
        case "invalid_data":
            return "The data was refused, so nothing was trained or pushed."
        case "failed":
            return "The run broke off before it could come to a verdict. Nothing was pushed."


def _compared(points: float) -> str:
    if abs(points) < 0.05:
        return "as good as"
    return f"{abs(points):.1f} percentage points {'better' if points > 0 else 'worse'} than"


def _contract(outcome: Outcome, outputs: Outputs) -> Gate:
    gate = outputs.get(("ValidationGate", "verdict"))
    blocking = sum(finding.severity == "blocking" for finding in outcome.findings)
    if gate is None and not blocking:
        sentence, passed = "The run ended before its data was checked.", None
    elif blocking:
        count = "One finding stops" if blocking == 1 else f"{blocking} findings stop"
        sentence, passed = f"{count} the run; see Validation.", False
    else:
        sentence, passed = "Labels, occlusion and images keep to the contract.", True
    return Gate("The data keeps to the contract", None, None, passed, sentence)


def _floors(config: PipelineConfig, slices: list[Slice]) -> Iterator[Gate]:
    if not slices:
        yield Gate(
            "Accuracy on test images", None, config.accuracy_floor, None, "No model was judged."
        )
    for part in slices:
        if not part.columns:
            name, floor = "Accuracy on all test images", config.accuracy_floor
        elif part.columns == (features.TRANCHE,):
            name, floor = f"Accuracy in {part.name}", config.tranche_accuracy_floor
        else:
            continue
        passed = part.accuracy >= floor - _ROUNDING
        wrong = part.count - round(part.accuracy * part.count)
        sentence = f"{wrong:,} of {part.count:,} images are wrong."
        yield Gate(name, part.accuracy, floor, passed, sentence)


def _coverage(config: PipelineConfig, slices: list[Slice]) -> Iterator[Gate]:
    for part in slices:
        # Runs from before the model could be unsure were not asked.
        if part.columns or part.coverage is None:
            continue
        unsure = part.count - round(part.coverage * part.count)
        sentence = f"The model is unsure of {unsure:,} of {part.count:,} images"
        if part.selective_accuracy is not None:
            sentence += f" and right on {part.selective_accuracy * 100:.1f} % of the others"
            if part.selective_accuracy < config.wanted_accuracy:
                sentence += f", fewer than the wanted {config.wanted_accuracy * 100:.1f} %"
        yield Gate(
            "Share of test images that the model is sure of",
            part.coverage,
            config.coverage_floor,
            part.coverage >= config.coverage_floor - _ROUNDING,
            f"{sentence}.",
        )


def _comparison(config: PipelineConfig, slices: list[Slice], baseline: Baseline | None) -> Gate:
    name = "Not worse than the model in service"
    if not slices:
        return Gate(name, None, None, None, "No model was judged.")
    if baseline is None:
        return Gate(name, None, None, True, "No earlier model was blessed: nothing to compare.")
    return Gate(
        name,
        baseline.accuracy + baseline.difference,
        baseline.accuracy - config.max_accuracy_drop,
        baseline.difference >= -config.max_accuracy_drop - _ROUNDING,
        f"Model {baseline.model_id} of run {baseline.run_id} has"
        f" {baseline.accuracy * 100:.1f} % on the same images;"
        f" {config.max_accuracy_drop * 100:.1f} points less are allowed.",
    )


def _serving(outputs: Outputs) -> Gate:
    name, blessing = "Answers real requests", outputs.get(("ServingCheck", "blessing"))
    if blessing is None:
        return Gate(name, None, None, None, "No model was asked.")
    report = json.loads((blessing.folder / "report.json").read_text(encoding="utf-8"))
    failed = [case["sentence"] for case in report["cases"] if not case["passed"]]
    total = len(report["cases"])
    sentence = (
        f"{len(failed)} of {total} kinds of request went wrong: {failed[0]}"
        if failed
        else f"All {total} kinds of request were answered as in training."
    )
    return Gate(name, None, None, not failed, sentence)
