"""Section 7: what was checked about the data before training."""

import json
from typing import Final

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import InputError
from pipeline.review.contents import Drift, SchemaRow, Validation
from pipeline.runs.run import Artifact, Artifacts, Finding

MOST_VALUES: Final = 12  # that are named


def validation(outputs: Artifacts, findings: list[Finding]) -> Validation | None:
    """Reads what the gate and the schemas say.

    Args:
      outputs: artifacts of the run.
      findings: of the gate.

    Returns:
      None if the run ended before the gate.
    """
    verdict = outputs.get(("ValidationGate", "verdict"))
    if verdict is None:
        return None
    drift = json.loads((verdict.folder / "drift.json").read_text(encoding="utf-8"))
    return Validation(
        passed=verdict.properties.get("passed") == 1,
        findings=findings,
        schema=_compare(outputs["CuratedSchema", "schema"], outputs["SchemaGen", "schema"]),
        drift=[
            Drift((pair["tranches"][0], pair["tranches"][1]), pair["distance"], pair["threshold"])
            for pair in drift
        ],
    )


def _compare(curated: Artifact, inferred: Artifact) -> list[SchemaRow]:
    ours, theirs = _columns(curated), _columns(inferred)
    return [
        SchemaRow(
            column=column,
            curated=ours.get(column, ""),
            inferred=theirs.get(column, ""),
            differs=ours.get(column) != theirs.get(column),
        )
        for column in sorted(ours.keys() | theirs.keys())
    ]


def _columns(artifact: Artifact) -> dict[str, str]:
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
        # An inferred schema takes every clip's name for a value.
        many = len(values) > MOST_VALUES
        parts.append(f"one of {len(values):,} values" if many else f"one of {', '.join(values)}")
    for kind, bounds in (("int", feature.int_domain), ("float", feature.float_domain)):
        if feature.HasField(f"{kind}_domain"):
            low = f"{bounds.min:g}" if bounds.HasField("min") else "any"
            high = f"{bounds.max:g}" if bounds.HasField("max") else "any"
            parts.append(f"from {low} to {high}")
    return "; ".join(parts)
