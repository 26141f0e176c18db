"""Section 10: what came from what, and how to make it again."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.config import PipelineConfig
from pipeline.review import contents
from pipeline.runs.run import Run
from pipeline.runs.snapshot import folder

SETTINGS_FILE: Final = "settings.toml"

# What names a digest among a component's properties, however deep in their JSON.
_DIGEST: Final = re.compile(r'\\*"(code_digest|base_weights_sha256)\\*":\s*\\*"([0-9a-f]{64})')


def provenance(run: Run) -> contents.Lineage:
    """The artifacts, digests, versions and settings of a run."""
    states = {stage.name: stage.state for stage in run.components}
    order = list(states)
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
            run.outputs.items(), key=lambda item: (order.index(item[0][0]), item[1].id)
        )
    ]
    digests = {f"tranche {name}": each for name, each in run.snapshot.tranche_digests.items()}
    for node, properties in run.properties.items():
        digests |= _digests(node, properties)
    place = folder(run.config.output_root, run.id)
    return contents.Lineage(
        artifacts=artifacts,
        digests=digests,
        versions=run.snapshot.versions,
        settings=run.config.model_dump(mode="json"),
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
