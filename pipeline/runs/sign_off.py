"""What people decide about models: they approve and reject candidates, and roll back.

A decision that puts a model into service is written into the version itself, in the step in which
it goes into service; ML Metadata follows. Whoever is killed in between leaves a version that says
who decided, and the next command completes ML Metadata (`complete`).

Callers hold the lock of the output folder.
"""

import time
from pathlib import Path
from typing import Final

from components.errors import InputError
from components.serving.versions import (
    Origin,
    SignOff,
    SignOffKind,
    Version,
    comparable,
    push,
    versions,
)
from pipeline.config import PipelineConfig
from pipeline.runs import lineage, metadata_file, record
from pipeline.runs.reader import Runs
from pipeline.runs.run import Artifact, Run
from pipeline.runs.seals import Seals
from pipeline.runs.verdict import MEANINGS, told, verdict

_PLAN: Final = ("AcceptancePlan", "acceptance_plan")
_DECISION: Final = ("AcceptanceGate", "acceptance_decision")
_SAVED_MODEL: Final = "Format-Serving"  # in an artifact of TFX's Trainer


def approve(config: PipelineConfig, run_id: str, by: str, reason: str) -> SignOff:
    """Puts the model of a run that awaits a person's decision into service.

    Args:
      config: says where the output folder is.
      run_id: the run.
      by: who approves it.
      reason: why.

    Returns:
      The decision; if the run was approved already, that one: the command may be given again.

    Raises:
      InputError: nobody has to decide about that run, what it was judged by has changed since,
        or another model is in service than it was compared with.
    """
    _begin(config)
    run = Runs(config.output_root).read(run_id)
    if not run.signed("approved"):
        model = _awaiting(run)
        _check_unchanged(config, run)
        _check_compared(run, model)
        origin = Origin(
            run_id=run_id,
            model_id=model.id,
            model_created=model.created,
            sign_off=_sign_off(run, model, "approved", by, reason),
        )
        _push(config, model.folder / _SAVED_MODEL, origin)
        complete(config)
    return _decided(config, run_id, "approved")


def reject(config: PipelineConfig, run_id: str, by: str, reason: str) -> SignOff:
    """Records that a run's model, about which a person has to decide, does not go into service.

    Args:
      config: says where the output folder is.
      run_id: the run.
      by: who rejects it.
      reason: why.

    Returns:
      The decision; if the run was rejected already, that one.

    Raises:
      InputError: nobody has to decide about that run.
    """
    _begin(config)
    run = Runs(config.output_root).read(run_id)
    if not run.signed("rejected"):
        model = _awaiting(run)
        lineage.record(config, _sign_off(run, model, "rejected", by, reason), _judged_by(run))
    return _decided(config, run_id, "rejected")


def roll_back(config: PipelineConfig, number: int | None, by: str, reason: str) -> SignOff:
    """Puts an earlier version into service, as a new one with the highest number.

    Args:
      config: says where the versions are.
      number: of the version; None for the newest of another model than the one in service that
        nobody has withdrawn.
      by: who wants it.
      reason: why.

    Returns:
      The decision. If the last one was the same, that: whoever gives the command again, because
      it was killed, does not go back further.

    Raises:
      InputError: there is no such version, it is not whole, or its model is in service.
    """
    _begin(config)
    served = versions(config.serving_dir)
    if not served:
        raise InputError(f"There is no version in {config.serving_dir} to go back from.")
    now = served[-1]
    target = None if number is None else _named(served, number)
    if not _is_same_rollback(now, target, by, reason):
        target = target or _before(served)
        now = _push(config, target.folder, _going_back(target, now, by, reason))
        complete(config)
    record.refresh(Runs(config.output_root))
    assert now.sign_off is not None  # noqa: S101 (for the type checker)
    return now.sign_off


def complete(config: PipelineConfig) -> None:
    """Records in ML Metadata the decisions that only the versions have, if there is a database."""
    if not lineage.has_database(config):
        return
    runs = Runs(config.output_root)
    for sign_off in runs.unrecorded:
        judged = sign_off.kind == "approved" and sign_off.run_id in runs.ids()
        lineage.record(config, sign_off, _judged_by(runs.read(sign_off.run_id)) if judged else {})


def _begin(config: PipelineConfig) -> None:
    """Completes ML Metadata, and refuses a database that could not be written afterwards."""
    if config.metadata is None:
        metadata_file.check(config.metadata_path)
    complete(config)


def _push(config: PipelineConfig, model: Path, origin: Origin) -> Version:
    try:
        return push(model, config.serving_dir, origin)
    except OSError as error:
        words = error.strerror or "some of its files cannot be copied"
        raise InputError(
            f"The model {model} cannot be put into {config.serving_dir}: {words}; mend that, and"
            " give the same command again."
        ) from error


def _decided(config: PipelineConfig, run_id: str, kind: SignOffKind) -> SignOff:
    """Reads a decision back, and brings run.json up to it."""
    runs = Runs(config.output_root)
    record.refresh(runs)
    decided = runs.read(run_id).signed(kind)
    assert decided is not None  # noqa: S101 (for the type checker)
    return decided


def _sign_off(run: Run, model: Artifact, kind: SignOffKind, by: str, reason: str) -> SignOff:
    return SignOff(
        kind=kind,
        by=by,
        reason=reason,
        time=round(time.time() * 1000),
        run_id=run.id,
        model_id=model.id,
        model_created=model.created,
        plan=run.plan.sha256 if run.plan else "",
    )


def _judged_by(run: Run) -> dict[str, int]:
    """What a person decided by: artifacts by input key in ML Metadata."""
    outputs = (_PLAN, _DECISION)
    return {key: run.outputs[node, key].id for node, key in outputs if (node, key) in run.outputs}


def _awaiting(run: Run) -> Artifact:
    """The model of a run that awaits a person's decision.

    Raises:
      InputError: the run does not.
    """
    came_to = verdict(run)
    if came_to != "awaiting_sign_off" or run.model is None:
        rejection = run.signed("rejected")
        words = told(rejection) if rejection else MEANINGS[came_to]
        raise InputError(f"Run {run.id} does not await a decision. {words}")
    return run.model


def _check_unchanged(config: PipelineConfig, run: Run) -> None:
    """Refuses a run whose model, plan or decision is not what the run left.

    Raises:
      InputError: it is.
    """
    plan, decision = run.outputs[_PLAN], run.outputs[_DECISION]
    files = (run.plan and run.plan.sha256, run.decision and run.decision.sha256)
    if files != (plan.properties["sha256"], decision.properties["sha256"]):
        raise InputError(
            f"The acceptance plan or the decision of run {run.id} is not the one that ML Metadata"
            f" has; put {plan.folder} and {decision.folder} back, or run again."
        )
    artifacts = [plan.id, decision.id, *([run.model.id] if run.model else [])]
    for damage in Seals(config).damages(artifacts):
        raise InputError(f"Run {run.id} cannot be approved: {damage}; put it back, or run again.")


def _check_compared(run: Run, model: Artifact) -> None:
    """Refuses a run that was compared with another model than is in service now.

    Raises:
      InputError: it was.
    """
    now = run.in_service
    if now and now.holds(model.id, model.created):
        raise InputError(f"The model of run {run.id} is in service already, as version {now.id}.")
    replaced = next(comparable(run.versions, (model.id, model.created)), None)
    other = run.compared_with("in_service")
    compared = (other.id, other.created) if other else None
    if (replaced.origin.key if replaced and replaced.origin else None) != compared:
        former = f"the model of run {other.made_by}" if other else "no other model"
        service = f"version {replaced.id}" if replaced else "no other model"
        raise InputError(
            f"Run {run.id} was compared with {former}, and now {service} is in service; run again."
        )


def _going_back(target: Version, now: Version, by: str, reason: str) -> Origin:
    """What a version is that a rollback makes.

    Raises:
      InputError: the version to go back to cannot go into service, or its model is there.
    """
    if target.damage or target.origin is None:
        why = target.damage or "nobody knows which model it is"
        raise InputError(f"Version {target.number} cannot go into service: {why}; name another.")
    if _same_model(target, now) and not now.damage:
        raise InputError(
            f"The model of version {target.number} is in service already, as version {now.number}."
        )
    known = now.origin if now.origin and not _same_model(target, now) else None
    sign_off = SignOff(
        kind="rolled_back",
        by=by,
        reason=reason,
        time=round(time.time() * 1000),
        run_id=target.origin.run_id,
        model_id=target.origin.model_id,
        model_created=target.origin.model_created,
        withdrawn_version=now.number,
        withdrawn_id=known.model_id if known else None,
        withdrawn_created=known.model_created if known else None,
    )
    return target.origin.model_copy(update={"sign_off": sign_off})


def _is_same_rollback(now: Version, target: Version | None, by: str, reason: str) -> bool:
    """Whether a rollback is what put the version in service there."""
    done = now.sign_off
    return (
        done is not None
        and not now.damage
        and (done.kind, done.by, done.reason) == ("rolled_back", by, reason)
        and (target is None or _same_model(target, now))
    )


def _before(served: tuple[Version, ...]) -> Version:
    """The version that a rollback goes back to, if nobody names one.

    Raises:
      InputError: there is none.
    """
    now = served[-1]
    for version in comparable(served, now.origin.key if now.origin else None):
        return version
    raise InputError(
        f"There is no whole version of another model than version {now.number} has, that nobody has"
        f" withdrawn; name one of all versions: {_numbers(served)}."
    )


def _named(served: tuple[Version, ...], number: int) -> Version:
    for version in served:
        if version.number == number:
            return version
    raise InputError(f"There is no version {number}; there are: {_numbers(served)}.")


def _numbers(served: tuple[Version, ...]) -> str:
    return ", ".join(str(version.number) for version in served)


def _same_model(version: Version, other: Version) -> bool:
    return bool(version.origin and other.origin and version.origin.key == other.origin.key)
