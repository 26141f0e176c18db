"""What was checked about the data before training."""

import json
from dataclasses import dataclass
from typing import Final

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import InputError
from components.examples.findings import Finding
from pipeline.review import formats
from pipeline.review.section import Section, Table
from pipeline.runs import verdict
from pipeline.runs.run import Artifact, Run

MOST_VALUES: Final = 12  # that are listed
_LONGEST: Final = 200  # characters of a description; a schema may have a value for every image


@dataclass(frozen=True)
class SchemaRow:
    """One column in the curated and in the inferred schema; empty where it is absent."""

    column: str
    curated: str
    inferred: str

    @property
    def differs(self) -> bool:
        """Whether the two schemas disagree."""
        return self.curated != self.inferred


@dataclass(frozen=True)
class TrancheDistance:
    """How far the postures of two tranches are apart: one row of the gate's drift file."""

    tranches: tuple[str, str]
    distance: float  # L-infinity, 0 to 1
    threshold: float


@dataclass(frozen=True)
class Validation(Section):
    """What was checked about the data before training.

    Attributes:
      passed: whether training was allowed.
      findings: what the gate found.
      schema: the curated and the inferred schema, column by column.
      drift: how far tranches are apart, pair by pair.
    """

    passed: bool
    findings: list[Finding]
    schema: list[SchemaRow]
    drift: list[TrancheDistance]

    def tables(self) -> dict[str, Table]:
        """Drift and schemas."""
        return {
            "drift": Table(
                "Drift: largest difference between two tranches in the share of a posture, 0 to 1",
                ["Tranches", "Distance", "Threshold", "Verdict"],
                [
                    [
                        " and ".join(pair.tranches),
                        formats.decimal(pair.distance),
                        formats.decimal(pair.threshold),
                        "✗ Above" if pair.distance > pair.threshold else "✓ Within",
                    ]
                    for pair in self.drift
                ],
                [1, 2],
            ),
            "schema": Table(
                "The curated schema, and the one inferred from the data",
                ["Column", "Curated", "Inferred", "Comparison"],
                [
                    [
                        row.column,
                        _shortened(row.curated or "absent"),
                        _shortened(row.inferred or "absent"),
                        "≠ Different" if row.differs else "Same",
                    ]
                    for row in self.schema
                ],
            ),
        }


def validation(run: Run) -> Validation | None:
    """Reads the gate's verdict and the schemas; None if the run ended before the gate."""
    gate = run.kept("ValidationGate", "verdict")
    if gate is None:
        return None
    drift = json.loads((gate.folder / "drift.json").read_text(encoding="utf-8"))
    return Validation(
        passed=run.gate_passed is True,
        findings=verdict.findings(run),
        schema=_compare(run.kept("CuratedSchema", "schema"), run.kept("SchemaGen", "schema")),
        drift=[
            TrancheDistance(tuple(pair["tranches"]), pair["distance"], pair["threshold"])
            for pair in drift
        ],
    )


def _compare(curated: Artifact | None, inferred: Artifact | None) -> list[SchemaRow]:
    ours, theirs = _columns(curated), _columns(inferred)
    return [
        SchemaRow(column, ours.get(column, ""), theirs.get(column, ""))
        for column in sorted(ours.keys() | theirs.keys())
    ]


def _columns(artifact: Artifact | None) -> dict[str, str]:
    if artifact is None:
        return {}
    path = artifact.folder / "schema.pbtxt"
    try:
        schema = text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except text_format.ParseError as error:
        raise InputError(f"{path} is not a schema: {error}.") from error
    domains = {domain.name: list(domain.value) for domain in schema.string_domain}
    return {feature.name: _describe(feature, domains) for feature in schema.feature}


def _describe(feature: schema_pb2.Feature, domains: dict[str, list[str]]) -> str:
    parts = [schema_pb2.FeatureType.Name(feature.type).lower()]
    if feature.presence.min_fraction == 1:
        parts.append("in every image")
    values = sorted(feature.string_domain.value or domains.get(feature.domain, []))
    if values:
        # An inferred schema lists every clip's name as a value.
        many = len(values) > MOST_VALUES
        parts.append(f"one of {len(values):,} values" if many else f"one of {', '.join(values)}")
    for kind, bounds in (("int", feature.int_domain), ("float", feature.float_domain)):
        if feature.HasField(f"{kind}_domain"):
            low = f"{bounds.min:g}" if bounds.HasField("min") else "any"
            high = f"{bounds.max:g}" if bounds.HasField("max") else "any"
            parts.append(f"from {low} to {high}")
    return "; ".join(parts)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
