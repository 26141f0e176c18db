"""What a run came to: a pure function of the `Run`, and the sentences that say why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal

from components.examples.findings import Finding
from components.judging.decision import Decision
from components.serving.versions import SignOff
from pipeline.runs.run import REVIEW, Gate, Run
from schema import features
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
    judged = list(run.evaluation.gates) if run.evaluation else []
    if not judged:
        judged = [Gate(kind="accuracy", limit=run.config.acceptance.accuracy_floor)]
    if run.decision:
        judged += _accepted(run.decision)
    if all(gate.kind != "no_worse" for gate in judged):
        # Without another model nothing stands against it.
        judged.append(Gate(kind="no_worse", passed=True if run.evaluation else None))
    refused = [finding for finding in run.findings if finding.severity == "blocking"]
    contract = False if refused or run.snapshot.refused else run.gate_passed
    serving = run.serving
    return [
        Gate(kind="contract", passed=contract),
        *judged,
        Gate(kind="serving", passed=None if serving is None else not serving.failures),
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
            refused = [
                reason
                for gate in gates(run)
                if gate.passed is False
                for reason in _refusals(run, gate)
            ]
            return refused or [f"The model was not pushed; {_SEE_LOG}"]
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
    ]


def place(key: SliceKey) -> str:
    """Says in a sentence where a slice is: `overall`, `in tranche 2, posture Lying`."""
    if not key:
        return "overall"
    return "in " + ", ".join(f"{features.column(column).title} {value}" for column, value in key)


def apart(value: float, limit: float) -> tuple[str, str]:
    """Writes two numbers with two decimals, or with as many as it takes to tell them apart."""
    for digits in range(2, 6):
        texts = (f"{value:.{digits}f}", f"{limit:.{digits}f}")
        if texts[0] != texts[1]:
            break
    return texts


def _accepted(decision: Decision) -> Iterator[Gate]:
    """The conditions that the AcceptanceGate checked."""
    for each in decision.recalls:
        yield Gate(
            kind="recall",
            place=((features.POSTURE, each.posture),),
            value=each.recall,
            limit=each.floor,
            passed=each.passed,
        )
    for comparison in decision.comparisons:
        if comparison.margin is not None:
            yield Gate(
                kind="no_worse",
                place=comparison.place,
                against=comparison.against,
                value=comparison.difference,
                limit=-comparison.margin,
                passed=comparison.passed,
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


def _refusals(run: Run, gate: Gate) -> Iterator[str]:
    """Why a gate did not pass."""
    if gate.kind == "serving":
        yield from run.serving.failures if run.serving else ()
        return
    where = place(gate.place)
    metrics = run.evaluation.slices.get(gate.place) if run.evaluation else None
    if metrics is None:
        columns = " and ".join(features.column(column).title for column, _ in gate.place)
        by = f" by {columns}" if columns else ""
        yield f"There was no image in the test split to measure {gate.kind}{by} on."
    elif gate.note or gate.value is None or gate.limit is None:
        yield f"{gate.kind.capitalize()} {where} could not be judged: {gate.note}"
    elif gate.kind == "no_worse":
        worse, allowed = apart(-gate.value, -gate.limit)
        other = "the reference" if gate.against == "reference" else "the model in service"
        yield f"Accuracy {where} is {worse} below that of {other}, where {allowed} is allowed."
    else:
        value, floor = apart(gate.value, gate.limit)
        count = metrics.example_count
        images = f"{count:,} image{'' if count == 1 else 's'}"
        if gate.kind == "coverage":
            yield (
                f"The model is sure of {value} of {images} {where}, below the coverage floor of"
                f" {floor}."
            )
        else:
            yield f"Accuracy {where} is {value} of {images}, below the floor of {floor}."


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
