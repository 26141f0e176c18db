"""Which data, code and settings a model comes from, and how to reproduce it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomli_w

from components import command_line
from components.files import replacing
from pipeline.config import PipelineConfig
from pipeline.review.section import Section, Table
from pipeline.runs.run import Run
from pipeline.runs.snapshot import folder

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


def provenance(run: Run) -> Provenance:
    """Reads the artifacts, digests, versions and settings of a run."""
    states = {stage.name: stage.state for stage in run.components}
    order = list(states)
    digests = {f"tranche {name}": each for name, each in run.snapshot.tranche_digests.items()}
    for node, properties in run.properties.items():
        digests |= _digests(node, properties)
    place = folder(run.config.output_root, run.id)
    return Provenance(
        artifacts=[
            MadeArtifact(
                component=node,
                state=states[node],
                output=key,
                type=artifact.type,
                artifact_id=artifact.id,
                path=artifact.uri,
            )
            for (node, key), artifact in sorted(
                run.outputs.items(), key=lambda item: (order.index(item[0][0]), item[1].id)
            )
        ],
        digests=digests,
        versions=run.snapshot.versions,
        settings=run.config.model_dump(mode="json"),
        commands=[
            command_line.lookdeep(
                *("run", "--config", place / SETTINGS_FILE),
                *("--output-root", f"{run.config.output_root}-again"),
            )
        ],
    )


def write_settings(config: PipelineConfig, path: Path) -> None:
    """Writes settings as a TOML file that reproduces the run."""
    with replacing(path, "wb") as file:
        tomli_w.dump(config.model_dump(mode="json", exclude_none=True), file)


def _digests(node: str, properties: Mapping[str, Any]) -> dict[str, str]:
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
