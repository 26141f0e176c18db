"""What the run came to, gate by gate, in words."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from components.judging.decision import Comparison, Decision
from pipeline.review import comparison, formats
from pipeline.review.contents import GateRow, Slice
from pipeline.runs import verdict
from pipeline.runs.record import Record
from pipeline.runs.run import Gate, Run
from pipeline.runs.verdict import MODELS
from schema import slices
from schema.features import ROLES, Role
from schema.slices import SliceKey

_CAME_TO: Final = {
    "pushed": "The new model was pushed.",
    "superseded": "The model was pushed; there is a newer version now.",
    "withdrawn": "The model was pushed; its version is gone, or no longer whole.",
    "awaiting_sign_off": "The new model waits for a person to decide.",
    "rejected": "The new model was rejected by a person.",
    "not_blessed": "The new model was not pushed.",
    "invalid_data": "The data was refused, so nothing was trained or pushed.",
    "failed": "The run broke off before its verdict. Nothing was pushed.",
    "unfinished": "The run broke off before its verdict. Nothing was pushed.",
}


def headline(record: Record) -> str:
    """Says in a sentence or two what the run came to, and how the model compares."""
    return " ".join(filter(None, [_CAME_TO[record.verdict], _compared(record.decision)]))


def gates(run: Run, found: Sequence[Slice]) -> list[GateRow]:
    """The conditions between the data and a model in service, in the order of the pipeline.

    Comparisons are listed if they are of all test images, or refuse the model; the others of a
    family share a line, and so do all that cannot decide.

    Args:
      run: the run.
      found: metrics of the test images; empty if the model was not judged.
    """
    parts = {part.key: part for part in found}
    rows: list[GateRow] = []
    for kind, some in groupby(verdict.gates(run), lambda gate: gate.kind):
        if kind == "no_worse" and run.decision and run.decision.others:
            rows += _comparisons(run.decision, run)
        else:
            rows += [_row(run, gate, parts.get(gate.place)) for gate in some]
    return rows


def _compared(decision: Decision | None) -> str:
    """Says no more of the difference than its interval does."""
    if decision is None:
        return ""
    found = {each.against: each for each in decision.comparisons if not each.place}
    overall = next((found[role] for role in ROLES if role in found), None)
    if overall is None:
        return "" if decision.others else "No model was in service to compare it with."
    other = MODELS[overall.against]
    if overall.low > 0:
        words = f"Better than {other}"
    elif overall.high < 0:
        words = f"Worse than {other}"
    else:
        words = f"Not shown to differ from {other}"
    return f"{words}: {_figures(overall)}."


def _figures(each: Comparison) -> str:
    return f"{formats.points(each.difference)}, {formats.points_between(each.low, each.high)}"


def _row(run: Run, gate: Gate, part: Slice | None) -> GateRow:
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
            name = f"Recall of {slices.name(gate.place)}"
            sentence = gate.note or (_missed(part) if part else "")
        case "no_worse":
            name = "No worse than the model in service"
            sentence = "No model was judged."
            if gate.passed:
                sentence = "No model is in service: nothing to compare."
    return GateRow(name, gate.value, gate.limit, gate.passed, sentence)


def _comparisons(decision: Decision, run: Run) -> Iterator[GateRow]:
    """The comparisons with each model: what decides in it, then what cannot."""
    numbers = {role: other.model_id for role, other in decision.others.items()}
    refused: set[SliceKey] = set()
    for role in ROLES:
        asked = [
            each
            for each in decision.comparisons
            if each.against == role and each.margin is not None
        ]
        if role == "reference" and numbers.get(role) == numbers.get("in_service"):
            passed = all(each.passed is not False for each in asked)
            words = "It is the model in service: what is lost to it stands above."
            yield GateRow("All slices", None, None, passed, words, MODELS[role])
            more = [each for each in asked if each.passed is False and each.place not in refused]
            yield from map(_alone, more)
            continue
        for columns, family in groupby(asked, _columns):
            decided = [each for each in family if each.passed is not None]
            alone = [each for each in decided if not columns or not each.passed]
            yield from map(_alone, alone)
            yield from _together([each for each in decided if each not in alone], columns, role)
        yield from _too_small([each for each in asked if each.passed is None], run, role)
        refused |= {each.place for each in asked if each.passed is False}


def _columns(each: Comparison) -> tuple[str, ...]:
    return tuple(column for column, _ in each.place)


def _alone(each: Comparison) -> GateRow:
    where = slices.name(each.place)
    return GateRow(
        f"{where[0].upper()}{where[1:]}",
        each.difference,
        -(each.margin or 0),
        each.passed,
        f"{comparison.in_words(each)}; 95 % interval"
        f" {formats.points_between(each.low, each.high)}.",
        MODELS[each.against],
    )


def _together(
    passed: Sequence[Comparison], columns: tuple[str, ...], role: Role
) -> Iterator[GateRow]:
    """A line for the slices of a family that passed, with the lowest difference among them."""
    if not passed:
        return
    least = min(passed, key=lambda each: each.difference)
    untold = sum(each.answer == "untold" for each in passed)
    many = "1 slice" if len(passed) == 1 else f"{len(passed)} slices"
    yield GateRow(
        f"By {slices.title(columns).lower()}",
        least.difference,
        -(least.margin or 0),
        True,
        f"{many}, the lowest {slices.name(least.place)}, with a 95 % interval of"
        f" {formats.points_between(least.low, least.high)}."
        + (f" {untold} cannot be told to be no worse." if untold else ""),
        MODELS[role],
    )


def _too_small(undecided: Sequence[Comparison], run: Run, role: Role) -> Iterator[GateRow]:
    if not undecided:
        return
    least = run.plan.acceptance.least_clips if run.plan else 0
    many = "1 slice has" if len(undecided) == 1 else f"{len(undecided)} slices have"
    yield GateRow(
        "Slices of few clips",
        None,
        None,
        None,
        f"{many} fewer than {formats.count(least)} clips, and would refuse the model only if proven"
        " worse.",
        MODELS[role],
    )


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


def _missed(part: Slice) -> str:
    missed = part.count - round(part.accuracy * part.count)
    return f"{missed:,} of {part.count:,} images are taken for another posture."


def _sure(run: Run, part: Slice) -> str:
    unsure = part.count - round((part.coverage or 0) * part.count)
    sentence = f"The model is unsure of {unsure:,} of {part.count:,} images"
    if part.selective_accuracy is not None:
        sentence += f" and right on {part.selective_accuracy * 100:.1f} % of the others"
        if part.selective_accuracy < run.config.wanted_accuracy:
            sentence += f", fewer than the wanted {run.config.wanted_accuracy * 100:.1f} %"
    return f"{sentence}."


def _serving(run: Run) -> str:
    if run.serving is None:
        return "No model was asked."
    failures, cases = run.serving.failures, run.serving.cases
    if failures:
        return f"{len(failures)} of {cases} kinds of request went wrong: {failures[0]}"
    return f"All {cases} kinds of request were answered as in training."
