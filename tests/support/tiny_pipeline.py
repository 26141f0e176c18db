"""The pipeline's gates in seconds: the same node ids, artifacts and conditions, no data.

The components put out what the real ones put out; the verdicts of a real training are
tested in tests/e2e.
"""

import json
import time
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.components.evaluator import constants
from tfx.dsl.compiler.constants import PIPELINE_RUN_ID_PARAMETER_NAME
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.experimental.conditionals import conditional
from tfx.orchestration import pipeline
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact, Property, PropertyType

from components.judging import decision, plan
from components.judging.acceptance import Acceptance
from components.judging.acceptance_gate import DecisionArtifact
from components.judging.acceptance_plan import PlanArtifact
from components.judging.decision import Compared, Decision, Recall
from components.judging.plan import Plan, Provable
from components.serving.baseline import compared_models
from components.serving.pusher import Pusher
from pipeline.config import PipelineConfig
from pipeline.review.component import ReviewPage
from pipeline.runs import lineage
from schema import features

NODES = [
    "SchemaGen",
    "CuratedSchema",
    "ValidationGate",
    "AcceptancePlan",
    "Trainer",
    "ModelInService",
    "ReferenceModel",
    "Evaluator",
    "ServingCheck",
    "AcceptanceGate",
    "Pusher",
    "ReviewPage",
]


class TinyVerdict(Artifact):
    """As the gate's."""

    TYPE_NAME = "TinyVerdict"
    PROPERTIES = {"passed": Property(type=PropertyType.INT)}  # noqa: RUF012 (TFX's own form)


@component
def WriteSchema(schema: OutputArtifact[standard_artifacts.Schema]) -> None:
    """Writes an empty schema."""
    Path(schema.uri, "schema.pbtxt").write_text("")


@component
def Gate(verdict: OutputArtifact[TinyVerdict], passes: Parameter[int]) -> None:
    """Passes or not, as it is told, and always warns."""
    verdict.passed = passes
    findings = [{"severity": "warning", "sentence": "Postures differ."}]
    if not passes:
        findings.append({"severity": "blocking", "sentence": "Column x has the value Kneeling."})
    Path(verdict.uri, "findings.json").write_text(json.dumps(findings))
    Path(verdict.uri, "drift.json").write_text("[]")


@component
def Train(
    verdict: InputArtifact[TinyVerdict],
    model: OutputArtifact[standard_artifacts.Model],
    breaks: Parameter[int],
    flavour: Parameter[str],
    waits: Parameter[str],
) -> None:
    """Writes something to push, or raises, or makes a file and sleeps."""
    del verdict
    if waits:
        Path(waits).touch()
        time.sleep(600)
    if breaks:
        raise RuntimeError("the tiny trainer broke\nin two lines")
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(f"not a model, {flavour}")


@component
def Evaluate(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    blesses: Parameter[int],
) -> None:
    """Blesses or not, as it is told."""
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, blesses)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)


@component
def Serve(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    serves: Parameter[int],
) -> None:
    """Blesses or not, as it is told."""
    del model
    blessing.set_int_custom_property("blessed", serves)
    cases = [
        {"case": "jpeg", "passed": True, "sentence": "A JPEG was answered."},
        {"case": "png", "passed": bool(serves), "sentence": "A PNG was not answered."},
    ]
    report = {"passed": bool(serves), "cases": cases}
    Path(blessing.uri, "report.json").write_text(json.dumps(report))


@component
def Publish(
    verdict: InputArtifact[TinyVerdict],
    acceptance_plan: OutputArtifact[PlanArtifact],
    acceptance: Parameter[str],
) -> None:
    """Publishes a plan over two test clips."""
    del verdict
    made = Plan(
        acceptance=Acceptance.model_validate_json(acceptance),
        test_clips={"1": "c1" * 32},
        provable=[Provable(place=(), images=2, clips=2, margin=0.5)],
    )
    plan.write(made, Path(acceptance_plan.uri))
    acceptance_plan.sha256 = made.sha256


@component
def Decide(
    acceptance_plan: InputArtifact[PlanArtifact],
    model: InputArtifact[standard_artifacts.Model],
    acceptance_decision: OutputArtifact[DecisionArtifact],
    accepts: Parameter[int],
    in_service: InputArtifact[standard_artifacts.Model] = None,
    reference: InputArtifact[standard_artifacts.Model] = None,
) -> None:
    """Accepts or not, as it is told; the plan says whether a person has to decide."""
    del model
    asked = plan.read(Path(acceptance_plan.uri))
    others = {"in_service": in_service, "reference": reference}
    found = Decision(
        plan=asked.sha256,
        images=2,
        clips=2,
        right=1 + accepts,
        recalls=[
            Recall(
                posture=features.LYING,
                images=2,
                clips=2,
                right=1 + accepts,
                low=0.1,
                high=0.9,
                floor=0.87,
                passed=bool(accepts),
            )
        ],
        comparisons=[],
        others={
            role: Compared(model_id=other.id, left_out=0, changed=0.0)
            for role, other in others.items()
            if other
        },
        sign_off=["The plan asks a person to decide about every model."]
        if asked.acceptance.sign_off == "always"
        else [],
    )
    decision.write(found, Path(acceptance_decision.uri))
    acceptance_decision.passed = int(found.passed)
    acceptance_decision.needs_sign_off = int(bool(found.sign_off))
    acceptance_decision.sha256 = found.sha256


def create(
    config: PipelineConfig,
    *,
    passes: int = 1,
    breaks: int = 0,
    blesses: int = 1,
    serves: int = 1,
    accepts: int = 1,
    flavour: str = "A",
    waits: str = "",
) -> pipeline.Pipeline:
    """Builds it; each argument turns one gate's answer, `flavour` makes another model."""
    run_id = RuntimeParameter(name=PIPELINE_RUN_ID_PARAMETER_NAME, ptype=str)
    inferred = WriteSchema().with_id("SchemaGen")
    curated = WriteSchema().with_id("CuratedSchema")
    gate = Gate(passes=passes).with_id("ValidationGate")
    verdict = gate.outputs["verdict"]
    with conditional.Cond(verdict.future()[0].property("passed") == 1):
        publish = Publish(verdict=verdict, acceptance=config.acceptance.model_dump_json()).with_id(
            "AcceptancePlan"
        )
        trainer = Train(verdict=verdict, breaks=breaks, flavour=flavour, waits=waits).with_id(
            "Trainer"
        )
        model = trainer.outputs["model"]
        compared = compared_models(model, config.serving_dir, config.acceptance.reference_run)
        evaluator = Evaluate(model=model, blesses=blesses).with_id("Evaluator")
        serving_check = Serve(model=model, serves=serves).with_id("ServingCheck")
        decide = Decide(
            acceptance_plan=publish.outputs["acceptance_plan"],
            model=model,
            accepts=accepts,
            **{role: node.outputs["model"] for role, node in compared.items()},
        ).with_id("AcceptanceGate")
        pusher = Pusher(
            model=model,
            model_blessing=evaluator.outputs["blessing"],
            infra_blessing=serving_check.outputs["blessing"],
            acceptance_decision=decide.outputs["acceptance_decision"],
            serving_dir=str(config.serving_dir),
            run_id=run_id,
        )
    page = ReviewPage(output_root=str(config.output_root), run_id=run_id)
    page.add_upstream_nodes([inferred, curated, gate, pusher])
    return pipeline.Pipeline(
        pipeline_name=config.pipeline_name,
        pipeline_root=str(config.pipeline_root),
        components=[
            inferred,
            curated,
            gate,
            publish,
            trainer,
            *compared.values(),
            evaluator,
            serving_check,
            decide,
            pusher,
            page,
        ],
        enable_cache=True,
        metadata_connection_config=lineage.connection(
            config, mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        ),
    )
