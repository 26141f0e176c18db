"""Section 10: what came from what, and how to make it again."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.config import PipelineConfig
from pipeline.review import contents
from pipeline.runs.lineage import Lineage, Outputs
from pipeline.runs.snapshot import Snapshot, folder

SETTINGS_FILE: Final = "settings.toml"

# What names a digest among a component's properties, however deep in their JSON.
_DIGEST: Final = re.compile(r'\\*"(code_digest|base_weights_sha256)\\*":\s*\\*"([0-9a-f]{64})')


def provenance(
    snapshot: Snapshot, lineage: Lineage | None, run: mlmd.Context | None, outputs: Outputs
) -> contents.Lineage:
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
            contents.LineageRow(
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
    return contents.Lineage(
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
    """Writes settings as the TOML file that makes the same run again."""
    # JSON's strings, numbers and booleans are TOML's; null is a key that is not there.
    tables: list[str] = []
    lines = []
    for key, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            rows = [
                f"{name} = {json.dumps(entry)}"
                for name, entry in value.items()
                if entry is not None
            ]
            tables += [f"\n[{key}]", *rows]
        elif value is not None:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    path.write_text("\n".join([*lines, *tables]) + "\n", encoding="utf-8")


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
