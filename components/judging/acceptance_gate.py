"""AcceptanceGate: judges a candidate by its plan, and beside the models it may replace."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact, Property, PropertyType

from components.examples import parquet
from components.judging import comparison, decision, plan
from components.judging.acceptance_plan import PlanArtifact
from components.judging.predictor import Predictions
from schema.features import Role


class DecisionArtifact(Artifact):
    """A file `decision.json`, a `components.judging.decision.Decision`.

    `passed` is 0 or 1, and so is `needs_sign_off`: whether a person has to decide, then. `sha256`
    is the decision's digest.
    """

    TYPE_NAME = "AcceptanceDecision"
    PROPERTIES = {  # noqa: RUF012 (TFX's own form)
        "passed": Property(type=PropertyType.INT),
        "needs_sign_off": Property(type=PropertyType.INT),
        "sha256": Property(type=PropertyType.STRING),
    }


@component
def AcceptanceGate(
    acceptance_plan: InputArtifact[PlanArtifact],
    predictions: InputArtifact[Predictions],
    acceptance_decision: OutputArtifact[DecisionArtifact],
    code_digest: Parameter[str],
    in_service: InputArtifact[standard_artifacts.Model] = None,
    reference: InputArtifact[standard_artifacts.Model] = None,
) -> None:
    """Decides, as far as accuracy overall, accuracy by tranche and coverage leave it open.

    Those three are the Evaluator's thresholds.

    Args:
      acceptance_plan: what is asked.
      predictions: what the models answered.
      acceptance_decision: what comes of it.
      code_digest: digest of this module; part of the cache key.
      in_service: the model in service, if there is one.
      reference: the reference, if there is one.
    """
    others: dict[Role, Artifact | None] = {"in_service": in_service, "reference": reference}
    found = comparison.judge(
        parquet.read(Path(predictions.uri), parquet.PREDICTIONS),
        plan.read(Path(acceptance_plan.uri)),
        {role: other.id for role, other in others.items() if other},
    )
    decision.write(found, Path(acceptance_decision.uri))
    acceptance_decision.passed = int(found.passed)
    acceptance_decision.needs_sign_off = int(bool(found.sign_off))
    acceptance_decision.sha256 = found.sha256
