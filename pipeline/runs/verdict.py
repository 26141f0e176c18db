"""What a run came to: a pure function of the `Run`, and the sentences that say why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal

from components.examples.findings import Finding
from components.judging.decision import Comparison, Decision, Recall
from components.serving.versions import SignOff
from pipeline.runs.run import REVIEW, Gate, Run
from schema import features, slices
from schema.features import Role
from schema.slices import SliceKey

Verdict = Literal[
    "pushed",
    "superseded",
    "withdrawn",
    "awaiting_sign_off",
    "rejected",
    "not_blessed",
    "invalid_data",
    "failed",
    "unfinished",
]

# The verdicts of runs that pushed their model, or found it in service.
PUSHED: Final = ("pushed", "superseded", "withdrawn")

# What each says in a sentence, wherever runs are listed.
MEANINGS: Final[dict[Verdict, str]] = {
    "pushed": "Pushed: no gate refused the model, and it is in service.",
    "superseded": "Superseded: the model was pushed, and there is a newer version now.",
    "withdrawn": "Withdrawn: the model was pushed, and its version is gone, or no longer whole.",
    "awaiting_sign_off": "Awaiting sign-off: no gate refused the model; a person has to decide.",
    "rejected": "Rejected: no gate refused the model, but a person did.",
    "not_blessed": "Not pushed: a gate refused the model.",
    "invalid_data": "Data refused: no model was trained.",
    "failed": "Failed: the run could not finish.",
    "unfinished": "Unfinished: the run is still going on, or was killed before it could say why.",
}

# What the models are called that a candidate is compared with.
MODELS: Final[dict[Role, str]] = {
    "in_service": "the model in service",
    "reference": "the reference model",
}

_SEE_LOG: Final = "the log has the details."


def verdict(run: Run) -> Verdict:
    """Says what a run came to. The review page counts for nothing: it can be drawn again.

    `pushed` means that a server now reads the run's model.
    """
    if run.pushed is not None:
        if run.version is None:
            return "withdrawn"
        return "pushed" if run.version == run.in_service else "superseded"
    states = {stage.name: stage.state for stage in run.stages if stage.name != REVIEW}
    if run.snapshot.refused or run.gate_passed is False:
        return "invalid_data"
    if run.awaits_sign_off:
        return "rejected" if run.signed("rejected") else "awaiting_sign_off"
    if states.get("Pusher") in ("ran", "cached"):
        return "not_blessed"
    if "failed" in states.values() or run.snapshot.failure:
        return "failed"
    return "unfinished"


def gates(run: Run) -> list[Gate]:
    """The conditions between the data and a model in service, in the order of the pipeline."""
    evaluation, serving = run.evaluation, run.serving
    judged = list(evaluation.gates) if evaluation else []
    if not judged:
        judged = [Gate(kind="accuracy", limit=run.config.acceptance.accuracy_floor)]
    refused = [finding for finding in run.findings if finding.severity == "blocking"]
    contract = False if refused or run.snapshot.refused else run.gate_passed
    return [
        Gate(kind="contract", passed=contract),
        *judged,
        Gate(kind="serving", passed=None if serving is None else not serving.failures),
        *_acceptance(run),
    ]


def reasons(run: Run) -> list[str]:
    """Says why the model of a run is not in service, a sentence each; empty if it is."""
    came_to = verdict(run)
    match came_to:
        case "pushed":
            return []
        case "superseded" | "withdrawn":
            now = run.in_service
            service = f"version {now.number} is in service" if now else "no version is in service"
            pushed = f"The model was pushed as version {run.pushed}; now {service}."
            return [pushed, *_withdrawals(run)]
        case "awaiting_sign_off":
            asked = [*(run.decision.sign_off if run.decision else []), *_withdrawals(run)]
            return asked or [f"A person has to decide about the model; {_SEE_LOG}"]
        case "rejected":
            return [told(each) for each in run.sign_offs if each.kind == "rejected"]
        case "invalid_data":
            blocking = [each.sentence for each in findings(run) if each.severity == "blocking"]
            return blocking or [run.snapshot.failure]
        case "not_blessed":
            return list(_refusals(run)) or [f"The model was not pushed; {_SEE_LOG}"]
        case _:
            broken = [
                stage.name
                for stage in run.components
                if stage.state == "failed" and stage.name != REVIEW
            ]
            where = f"{' and '.join(broken)} failed: " if broken else ""
            return [where + (run.snapshot.failure or _SEE_LOG)]


def findings(run: Run) -> list[Finding]:
    """What there is to say of the data and the model beside the gates, blocking ones first."""
    refused = [Finding(severity="blocking", sentence=run.snapshot.failure)]
    return [
        *(refused if run.snapshot.refused else []),
        *sorted(
            (*run.snapshot.warnings, *run.findings),
            key=lambda finding: finding.severity != "blocking",
        ),
        *_overconfident(run),
        *_too_small(run),
    ]


def place(key: SliceKey) -> str:
    """Says in a sentence where a slice is: `overall`, `in tranche 2, posture Lying`."""
    if not key:
        return "overall"
    return "in " + ", ".join(f"{features.column(column).title} {value}" for column, value in key)


def apart(value: float, limit: float, least: int = 2) -> tuple[str, str]:
    """Writes two numbers with `least` decimals, or with as many as it takes to tell them apart."""
    for digits in range(least, 6):
        texts = (f"{value:.{digits}f}", f"{limit:.{digits}f}")
        if texts[0] != texts[1]:
            break
    return texts


def worst_first(decision: Decision) -> list[Comparison]:
    """The comparisons that refuse a model, the gravest first.

    What is proven comes before estimates, then small slices before large ones, then large losses
    before small ones. A slice is left out if all that it lost is in a smaller one, which says more,
    or if it is there already, against another model.
    """
    refused = sorted(
        (each for each in decision.comparisons if each.passed is False),
        key=lambda each: (each.answer != "worse", -len(each.place), each.difference),
    )
    return [
        each
        for at, each in enumerate(refused)
        if not any(_says_more(other, each, decision) for other in refused[:at])
    ]


def interval(low: float, high: float) -> str:
    """Writes an interval of differences in points: `3.4 to 9.0 worse`, `7.1 worse to 3.2 better`.

    Args:
      low: its lower end, -1 to 1.
      high: its upper end.
    """
    ends = [f"{abs(end) * 100:.1f}" for end in (low, high)]
    if high <= 0:
        return f"{ends[1]} to {ends[0]} worse"
    if low >= 0:
        return f"{ends[0]} to {ends[1]} better"
    return f"{ends[0]} worse to {ends[1]} better"


def too_few(clips: int, run: Run) -> str:
    """Says why a slice has not been decided about."""
    count = f"{clips:,} clip" + ("" if clips == 1 else "s")
    least = run.plan.acceptance.least_clips if run.plan else 0
    return f"Not checked: {count}, the plan asks for {least:,}."


def _acceptance(run: Run) -> Iterator[Gate]:
    """The AcceptanceGate's conditions; runs of an earlier time had none."""
    decision = run.decision
    if decision is None:
        if run.evaluation is None or run.plan:
            yield Gate(kind="no_worse", against="in_service")
        return
    for recall in decision.recalls:
        yield Gate(
            kind="recall",
            place=((features.POSTURE, recall.posture),),
            value=recall.recall,
            limit=recall.floor,
            passed=recall.passed,
            note=too_few(recall.clips, run) if recall.passed is None else "",
        )
    if not decision.others:
        yield Gate(kind="no_worse", against="in_service", passed=True)  # nothing is against it
    for each in decision.comparisons:
        if each.margin is not None:
            yield Gate(
                kind="no_worse",
                place=each.place,
                against=each.against,
                value=each.difference,
                limit=-each.margin,
                passed=each.passed,
                note=too_few(each.clips, run) if each.passed is None else "",
            )


def told(sign_off: SignOff) -> str:
    """Says in a sentence who decided what, when and why."""
    what = {
        "approved": f"approved the model, which went into service as version {sign_off.version}",
        "rejected": "rejected the model",
        "rolled_back": f"rolled back version {sign_off.withdrawn_version}: the model of run"
        f" {sign_off.run_id} went into service again, as version {sign_off.version}",
    }[sign_off.kind]
    when = datetime.fromtimestamp(sign_off.time / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{sign_off.by} {what} ({when}): {sign_off.reason}"


def _withdrawals(run: Run) -> list[str]:
    """Who took the model of a run out of service; a later decision may have put it back."""
    model = run.model
    return [
        told(each)
        for each in run.sign_offs
        if model is not None and each.withdrawn_model == (model.id, model.created)
    ]


def _says_more(one: Comparison, other: Comparison, decision: Decision) -> bool:
    """Whether all that a slice lost too much of is what a smaller one lost; or it is the same."""
    if one.place == other.place:
        return True
    same = decision.others[one.against].model_id == decision.others[other.against].model_id
    within = set(one.place) > set(other.place) and one.lost == other.lost
    return same and within and -other.difference > (other.margin or 0)


def _refusals(run: Run) -> Iterator[str]:
    """Why the gates refused the model, the gravest reason first."""
    decision = run.decision
    if decision:
        yield from map(_worse, worst_first(decision))
        yield from (_seldom_found(each) for each in decision.recalls if each.passed is False)
    for gate in gates(run):
        if gate.passed is False and gate.kind in ("accuracy", "coverage"):
            yield _below(run, gate)
    if run.serving:
        yield from run.serving.failures
    if _was_worse(run):
        yield (
            "The Evaluator found the model worse than the one in service, by the rule of the time"
            " before acceptance plans; its artifact has the figures."
        )


def _was_worse(run: Run) -> bool:
    """Whether the Evaluator refused a model for a comparison, which it no longer makes."""
    if run.evaluation is None or run.plan or run.blessed is not False:
        return False
    return all(gate.passed is not False for gate in run.evaluation.gates)


def _worse(each: Comparison) -> str:
    """Says what a model lost to another one in a slice, and why that refuses it."""
    _, margin = apart(-each.difference * 100, (each.margin or 0) * 100, 1)
    change = _change(each)
    if each.answer == "worse":
        return f"{change}, proven; {margin} points are allowed."
    if -each.difference > (each.margin or 0):
        return f"{change}, where {margin} points are allowed."
    return (
        f"{change}; that it loses at most {margin} points is not proven, and the plan asks for"
        " proof."
    )


def _change(each: Comparison) -> str:
    """Says how much better or worse a slice is than another model, without a full stop."""
    name = slices.name(each.place)
    loss, _ = apart(-each.difference * 100, (each.margin or 0) * 100, 1)
    change = f"{loss.removeprefix('-')} points {'better' if each.difference > 0 else 'worse'}"
    ends = interval(each.low, each.high)
    return f"{name[0].upper()}{name[1:]}: {change} than {MODELS[each.against]} ({ends})"


def _seldom_found(recall: Recall) -> str:
    value, floor = apart(recall.recall, recall.floor)
    return (
        f"The model finds {value} of {_images(recall.images)} of {recall.posture}, below the"
        f" recall floor of {floor}."
    )


def _below(run: Run, gate: Gate) -> str:
    """Says which floor a model missed."""
    where = place(gate.place)
    metrics = run.evaluation.slices.get(gate.place) if run.evaluation else None
    if metrics is None:
        columns = " and ".join(features.column(column).title for column, _ in gate.place)
        by = f" by {columns}" if columns else ""
        return f"There was no image in the test split to measure {gate.kind}{by} on."
    if gate.note or gate.value is None or gate.limit is None:
        return f"{gate.kind.capitalize()} {where} could not be judged: {gate.note}"
    value, floor = apart(gate.value, gate.limit)
    images = _images(metrics.example_count)
    if gate.kind == "coverage":
        return (
            f"The model is sure of {value} of {images} {where}, below the coverage floor of"
            f" {floor}."
        )
    return f"Accuracy {where} is {value} of {images}, below the floor of {floor}."


def _images(count: int) -> str:
    return f"{count:,} image" + ("" if count == 1 else "s")


def _overconfident(run: Run) -> Iterator[Finding]:
    """Warns of a model whose sure answers are right less often on test than its threshold's aim."""
    overall, wanted = run.overall, run.config.wanted_accuracy
    reached = overall.selective_accuracy if overall else None
    if reached is not None and reached < wanted:
        yield Finding(
            severity="warning",
            sentence=f"Where the model is sure, it is right on {reached * 100:.1f} % of the test"
            f" images; the wanted {wanted * 100:.1f} % held on eval. Do not rely on it before it"
            " is tested on more clips.",
        )


def _too_small(run: Run) -> Iterator[Finding]:
    """Warns of the slice that lost most, where it is too small to decide about the loss."""
    lost = {
        each.place: each
        for each in reversed(run.decision.comparisons if run.decision else [])
        if each.answer == "untold" and each.passed is None and each.high < 0
        if -each.difference > (each.margin or 0)
    }
    if lost:
        most = min(lost.values(), key=lambda each: each.difference)
        more = f" The comparison lists {len(lost) - 1} more." if len(lost) > 1 else ""
        yield Finding(
            severity="warning",
            sentence=f"{_change(most)}. Its {most.clips:,} clips are too few to decide.{more}",
        )
