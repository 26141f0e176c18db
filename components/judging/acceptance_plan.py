"""AcceptancePlan: publishes what will decide, before there is a model to decide about."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.artifact import Artifact, Property, PropertyType

from components import progress
from components.examples import parquet
from components.examples.image_table import Images
from components.judging import comparison, plan, power
from components.judging.acceptance import Acceptance
from components.judging.plan import Plan, Provable
from schema import features

_IDENTITY = [features.FILE_NAME, features.CLIP, features.POSTURE]


class PlanArtifact(Artifact):
    """A file `plan.json`, a `components.judging.plan.Plan`; `sha256` is its digest."""

    TYPE_NAME = "AcceptancePlan"
    PROPERTIES = {"sha256": Property(type=PropertyType.STRING)}  # noqa: RUF012 (TFX's own form)


@component
def AcceptancePlan(
    images: InputArtifact[Images],
    acceptance_plan: OutputArtifact[PlanArtifact],
    acceptance: Parameter[str],
    code_digest: Parameter[str],
) -> None:
    """Publishes the plan, and says what its test clips can prove.

    Args:
      images: ImageTable's output.
      acceptance_plan: the plan.
      acceptance: the settings, JSON of `Acceptance`.
      code_digest: digest of this module; part of the cache key.
    """
    table = parquet.read(Path(images.uri), parquet.IMAGES)
    made = make(table, Acceptance.model_validate_json(acceptance))
    plan.write(made, Path(acceptance_plan.uri))
    acceptance_plan.sha256 = made.sha256
    progress.emit("note", text=made.sentence)


def make(images: pd.DataFrame, acceptance: Acceptance) -> Plan:
    """Makes a plan.

    Args:
      images: a row for each image of all splits, with the columns of `parquet.IMAGES`.
      acceptance: the settings.
    """
    test = images[images[parquet.SPLIT] == features.TEST]
    return Plan(
        acceptance=acceptance,
        test_clips={
            name: _digest(rows) for ((_, name),), rows in comparison.cut(test, (features.TRANCHE,))
        },
        provable=list(_provable(test)),
    )


def _digest(rows: pd.DataFrame) -> str:
    """SHA-256 of the names, clips and labels of images, in any order."""
    lines = sorted("\0".join(map(str, row)) for row in rows[_IDENTITY].itertuples(index=False))
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()


def _provable(test: pd.DataFrame) -> Iterator[Provable]:
    for columns in comparison.FAMILIES:
        for place, rows in comparison.cut(test, columns):
            (images,) = comparison.by_clip(rows)
            yield Provable(
                place=place,
                images=len(rows),
                clips=len(images),
                margin=power.provable_margin(images),
            )
