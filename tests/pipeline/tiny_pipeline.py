"""A pipeline of seconds with every way a component can end, for tests of the mechanics."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.experimental.conditionals import conditional
from tfx.orchestration import metadata, pipeline
from tfx.types.artifact import Artifact, Property, PropertyType


class Verdict(Artifact):
    """As the gate's."""

    TYPE_NAME = "TinyVerdict"
    PROPERTIES = {"passed": Property(type=PropertyType.INT)}  # noqa: RUF012 (TFX's own form)


@component
def Gate(verdict: OutputArtifact[Verdict], passes: Parameter[int]) -> None:
    """Passes or not, as it is told."""
    verdict.passed = passes


@component
def After(verdict: InputArtifact[Verdict], product: OutputArtifact[Verdict]) -> None:
    """Runs if the gate passed."""
    product.passed = verdict.passed


@component
def Fragile(verdict: InputArtifact[Verdict], breaks: Parameter[int]) -> None:
    """Raises if it is told to."""
    if breaks:
        raise RuntimeError("the tiny component broke")


def create(root: Path, *, passes: int = 1, breaks: int = 0) -> pipeline.Pipeline:
    """Gate, then After and Fragile under the gate's condition."""
    gate = Gate(passes=passes)
    verdict = gate.outputs["verdict"]
    with conditional.Cond(verdict.future()[0].property("passed") == 1):
        after = After(verdict=verdict)
        fragile = Fragile(verdict=after.outputs["product"], breaks=breaks)
    return pipeline.Pipeline(
        pipeline_name="tiny",
        pipeline_root=str(root / "artifacts"),
        components=[gate, after, fragile],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
    )
