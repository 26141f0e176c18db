"""Section 1: what the run came to, gate by gate, in words."""

from pipeline.review.contents import Baseline, GateRow, Slice
from pipeline.runs import verdict
from pipeline.runs.record import Record
from pipeline.runs.run import Gate, Run
from schema import slices
from schema.slices import SliceKey


def headline(record: Record, overall: Slice | None, baseline: Baseline | None) -> str:
    """Says in a sentence or two what the run came to.

    Args:
      record: the run.
      overall: metrics of all test images, if the model was judged.
      baseline: what it was compared with.
    """
    judged = ""
    if overall:
        judged = f"It is right on {overall.accuracy * 100:.1f} % of {overall.count:,} test images"
        if baseline:
            judged += f", {_compared(baseline.difference * 100)} the model in service"
        judged += "."
    match record.verdict:
        case "pushed":
            return f"No gate refused the new model, and it was pushed. {judged}"
        case "superseded":
            return f"The model was pushed; there is a newer version now. {judged}"
        case "withdrawn":
            return f"The model was pushed; its version is gone, or no longer whole. {judged}"
        case "awaiting_sign_off":
            return f"No gate refused the new model; a person has to decide about it. {judged}"
        case "rejected":
            return f"No gate refused the new model, but a person rejected it. {judged}"
        case "not_blessed":
            return f"The new model was not pushed. {judged}"
        case "invalid_data":
            return "The data was refused, so nothing was trained or pushed."
        case "failed" | "unfinished":
            return "The run broke off before its verdict. Nothing was pushed."


def gates(run: Run, found: list[Slice], baseline: Baseline | None) -> list[GateRow]:
    """The conditions between the data and a model in service, in the order of the pipeline.

    Args:
      run: the run.
      found: metrics of the test images; empty if the model was not judged.
      baseline: what the model was compared with.
    """
    parts = {tuple(zip(part.columns, part.values, strict=True)): part for part in found}
    return [_row(run, gate, parts, baseline) for gate in verdict.gates(run)]


def _row(run: Run, gate: Gate, parts: dict[SliceKey, Slice], baseline: Baseline | None) -> GateRow:
    part = parts.get(gate.place)
    where = f"in {slices.name(gate.place)}" if gate.place else "on all test images"
    match gate.kind:
        case "contract":
            return GateRow("The data keeps the contract", None, None, gate.passed, _contract(run))
        case "serving":
            return GateRow("Answers real requests", None, None, gate.passed, _serving(run))
        case "accuracy":
            name = f"Accuracy {where}"
            sentence = _wrong(part) if part else gate.note or "No model was judged."
        case "coverage":
            name = "Share of test images that the model is sure of"
            sentence = _sure(run, part) if part else "No model was judged."
        case "recall":
            name, sentence = f"Recall {where}", ""
        case "no_worse" if not gate.place and gate.against != "reference":
            return _comparison(gate, baseline)
        case "no_worse":
            other = "the reference" if gate.against == "reference" else "the model in service"
            name, sentence = f"No worse than {other} {where}", ""
    return GateRow(name, gate.value, gate.limit, gate.passed, sentence)


def _compared(points: float) -> str:
    if abs(points) < 0.05:
        return "as good as"
    return f"{abs(points):.1f} percentage points {'better' if points > 0 else 'worse'} than"


def _contract(run: Run) -> str:
    blocking = sum(finding.severity == "blocking" for finding in verdict.findings(run))
    if blocking:
        count = "One finding stops" if blocking == 1 else f"{blocking} findings stop"
        return f"{count} the run; see Validation."
    if run.gate_passed is None:
        return "The run ended before its data was checked."
    return "Labels, occlusion and images keep the contract."


def _wrong(part: Slice) -> str:
    wrong = part.count - round(part.accuracy * part.count)
    return f"{wrong:,} of {part.count:,} images are wrong."


def _sure(run: Run, part: Slice) -> str:
    unsure = part.count - round((part.coverage or 0) * part.count)
    sentence = f"The model is unsure of {unsure:,} of {part.count:,} images"
    if part.selective_accuracy is not None:
        sentence += f" and right on {part.selective_accuracy * 100:.1f} % of the others"
        if part.selective_accuracy < run.config.wanted_accuracy:
            sentence += f", fewer than the wanted {run.config.wanted_accuracy * 100:.1f} %"
    return f"{sentence}."


def _comparison(gate: Gate, baseline: Baseline | None) -> GateRow:
    name = "Not worse than the model in service"
    if gate.passed is None:
        return GateRow(name, None, None, None, "No model was judged.")
    if baseline is None or gate.limit is None:
        return GateRow(name, None, None, gate.passed, "No model is in service: nothing to compare.")
    return GateRow(
        name,
        baseline.accuracy + baseline.difference,
        baseline.accuracy + gate.limit,
        gate.passed,
        f"Model {baseline.model_id} of run {baseline.run_id} has"
        f" {baseline.accuracy * 100:.1f} % on the same images; {-gate.limit * 100:.1f} points"
        " less are allowed.",
    )


def _serving(run: Run) -> str:
    if run.serving is None:
        return "No model was asked."
    failures, cases = run.serving.failures, run.serving.cases
    if failures:
        return f"{len(failures)} of {cases} kinds of request went wrong: {failures[0]}"
    return f"All {cases} kinds of request were answered as in training."
