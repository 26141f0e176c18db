"""The pipeline's gates in seconds: the same node ids, artifacts and conditions, no data.

What the components put out is what TFX's own put out; the verdicts of a real
training are tested in tests/e2e.
"""

import json
from pathlib import Path

from tfx.components.evaluator import constants
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.experimental.conditionals import conditional
from tfx.orchestration import metadata, pipeline
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact, Property, PropertyType

from components.serving.pusher import Pusher
from pipeline.config import PipelineConfig

NODES = ["ValidationGate", "Trainer", "Evaluator", "ServingCheck", "Pusher"]


class TinyVerdict(Artifact):
    """As the gate's."""

    TYPE_NAME = "TinyVerdict"
    PROPERTIES = {"passed": Property(type=PropertyType.INT)}  # noqa: RUF012 (TFX's own form)


@component
def Gate(verdict: OutputArtifact[TinyVerdict], passes: Parameter[int]) -> None:
    """Passes or not, as it is told, and always warns."""
    verdict.passed = passes
    findings = [{"severity": "warning", "sentence": "Postures differ."}]
    if not passes:
        findings.append({"severity": "blocking", "sentence": "Column x has the value Kneeling."})
    Path(verdict.uri, "findings.json").write_text(json.dumps(findings))


@component
def Train(
    verdict: InputArtifact[TinyVerdict],
    model: OutputArtifact[standard_artifacts.Model],
    breaks: Parameter[int],
) -> None:
    """Writes something to push, or raises."""
    del verdict
    if breaks:
        raise RuntimeError("the tiny trainer broke\nin two lines")
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text("not a model")


@component
def Evaluate(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
) -> None:
    """Blesses."""
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, 1)
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


def create(root: Path, *, passes: int = 1, breaks: int = 0, serves: int = 1) -> pipeline.Pipeline:
    """Builds it; each argument turns one gate's answer."""
    gate = Gate(passes=passes).with_id("ValidationGate")
    verdict = gate.outputs["verdict"]
    with conditional.Cond(verdict.future()[0].property("passed") == 1):
        trainer = Train(verdict=verdict, breaks=breaks).with_id("Trainer")
        model = trainer.outputs["model"]
        evaluator = Evaluate(model=model).with_id("Evaluator")
        serving_check = Serve(model=model, serves=serves).with_id("ServingCheck")
        pusher = Pusher(
            model=model,
            model_blessing=evaluator.outputs["blessing"],
            infra_blessing=serving_check.outputs["blessing"],
            push_destination=pusher_pb2.PushDestination(
                filesystem=pusher_pb2.PushDestination.Filesystem(
                    base_directory=str(root / "serving" / "posture")
                )
            ),
        )
    return pipeline.Pipeline(
        pipeline_name=PipelineConfig(output_root=root).pipeline_name,
        pipeline_root=str(root / "artifacts"),
        components=[gate, trainer, evaluator, serving_check, pusher],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
    )
