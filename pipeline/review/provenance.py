"""Section 10: which data, code and settings a model comes from, and how to reproduce it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli_w
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.files import replacing
from pipeline.config import PipelineConfig
from pipeline.review.section import Section, Table
from pipeline.runs.lineage import Lineage, Outputs
from pipeline.runs.snapshot import Snapshot, folder

SETTINGS_FILE: Final = "settings.toml"

# A digest among the properties of a component, however deep in nested JSON strings.
_DIGEST: Final = re.compile(r'\\*"(code_digest|base_weights_sha256)\\*":\s*\\*"([0-9a-f]{64})')


@dataclass(frozen=True)
class MadeArtifact:
    """One artifact of the run."""

    component: str
    state: str
    output: str
    type: str
    artifact_id: int
    path: str


@dataclass(frozen=True)
class Provenance(Section):
    """What a model comes from.

    Attributes:
      artifacts: of the run, in order.
      digests: SHA-256 of data and code, by what they are of.
      versions: of Python and the packages.
      settings: of the run, by key.
      commands: that reproduce the run, a line each.
    """

    artifacts: list[MadeArtifact]
    digests: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    commands: list[str]

    def tables(self) -> dict[str, Table]:
        """Artifacts, digests, versions and settings."""
        return {
            "artifacts": Table(
                "Artifacts of the run in ML Metadata",
                ["Component", "State", "Output", "Type", "ID", "Path"],
                [
                    [row.component, row.state, row.output, row.type, str(row.artifact_id), row.path]
                    for row in self.artifacts
                ],
                [4],
            ),
            "digests": Table("SHA-256 of data and code", ["Of", "SHA-256"], _pairs(self.digests)),
            "versions": Table("Versions", ["Package", "Version"], _pairs(self.versions)),
            "settings": Table("Settings of the run", ["Setting", "Value"], _pairs(self.settings)),
        }


def provenance(
    snapshot: Snapshot, lineage: Lineage | None, run: mlmd.Context | None, outputs: Outputs
) -> Provenance:
    """Reads artifacts, digests, versions and settings of a run.

    Args:
      snapshot: the run as its worker saw it.
      lineage: the database; None if the run ended before it.
      run: the run in it.
      outputs: the artifacts of the run.
    """
    artifacts, digests = [], {f"tranche {k}": v for k, v in snapshot.tranche_digests.items()}
    if lineage and run:
        states = lineage.states(run)
        order = {node: position for position, node in enumerate(snapshot.nodes)}
        artifacts = [
            MadeArtifact(
                component=node,
                state=states[node],
                output=key,
                type=artifact.type,
                artifact_id=artifact.id,
                path=artifact.uri,
            )
            for (node, key), artifact in sorted(
                outputs.items(),
                key=lambda item: (order.get(item[0][0], len(order)), item[1].id),
            )
        ]
        for node, properties in lineage.settings(run).items():
            digests |= _digests(node, properties)
    settings = snapshot.config.model_dump(mode="json")
    place = folder(snapshot.config.output_root, snapshot.run_id)
    return Provenance(
        artifacts=artifacts,
        digests=digests,
        versions=snapshot.versions,
        settings=settings,
        commands=[
            f"lookdeep run --config {shlex.quote(str(place / SETTINGS_FILE))}"
            " --output-root ANOTHER_FOLDER"
        ],
    )


def write_settings(config: PipelineConfig, path: Path) -> None:
    """Writes settings as a TOML file that reproduces the run."""
    with replacing(path, "wb") as file:
        tomli_w.dump(config.model_dump(mode="json", exclude_none=True), file)


def _digests(node: str, properties: dict[str, Any]) -> dict[str, str]:
    names = {"code_digest": f"code of {node}", "base_weights_sha256": "base weights"}
    found = {}
    for name, value in properties.items():
        if name == "code_digest":
            found[names[name]] = str(value)
        elif name == "sha256":
            found[f"{node}'s file"] = str(value)
        else:
            found |= {names[kind]: digest for kind, digest in _DIGEST.findall(str(value))}
    return found


def _pairs(values: Mapping[str, object]) -> list[list[str]]:
    return [[key, str(value)] for key, value in values.items()]
