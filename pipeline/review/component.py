"""ReviewPage: the last node of the DAG draws the page of its run."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.artifact import Artifact, Property, PropertyType

from pipeline.review import build
from pipeline.runs.reader import Runs


class ReviewArtifact(Artifact):
    """A review page: `page` is its path; it lies where people look for it, in OUT/review."""

    TYPE_NAME = "Review"
    PROPERTIES = {"page": Property(type=PropertyType.STRING)}  # noqa: RUF012 (TFX's own form)


@component
def ReviewPage(
    review: OutputArtifact[ReviewArtifact], output_root: Parameter[str], run_id: Parameter[str]
) -> None:
    """Draws the page from what the run has left so far.

    It has no inputs, since most of what it shows is missing when a gate stops a run, and
    TFX runs no component whose inputs are missing. The run's name is among its settings,
    so it is never taken from the cache.

    Args:
      review: where the page is.
      output_root: of the run.
      run_id: of the run.
    """
    review.page = str(build.build(Runs(Path(output_root)).read(run_id)))
