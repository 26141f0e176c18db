"""Snapshots: what only a run itself knew, kept beside its page in OUT/review/RUN/run.json.

With it, a run can be read after later runs have put other tables into OUT/data.
"""

import json
import platform
import re
import secrets
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from components import files
from components.errors import InputError
from pipeline.config import PipelineConfig
from pipeline.runs.left_out import read_contradictions, read_rejects
from pipeline.runs.run import Snapshot
from schema.features import tranche_order

FILE_NAME: Final = "run.json"
_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_TIME: Final = re.compile(r"\d{8}T\d{6}Z")
PACKAGES: Final = (
    "lookdeep-posture",
    "tfx",
    "tensorflow",
    "keras",
    "tensorflow-data-validation",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "apache-beam",
)


def new_name(output_root: Path, started: float) -> str:
    """Names a run: by its time, so that names tell the order, and as no other run is named.

    Args:
      output_root: of the runs.
      started: when the command was given, seconds since 1970. Where the clock was set back,
        the second after the last run's counts instead.
    """
    time = datetime.fromtimestamp(started, UTC)
    times = [match[0] for name in runs(output_root) if (match := _TIME.match(name))]
    if times:
        last = datetime.strptime(max(times), _TIME_FORMAT).replace(tzinfo=UTC)
        time = max(time, last + timedelta(seconds=1))
    return f"{time.strftime(_TIME_FORMAT)}-{secrets.token_hex(3)}"


def folder(output_root: Path, run_id: str) -> Path:
    """Where a run's page and what belongs to it are."""
    return output_root / "review" / run_id


def page_path(output_root: Path, run_id: str) -> Path:
    """Where a run's page is."""
    return folder(output_root, run_id) / "index.html"


def _versions() -> dict[str, str]:
    """The versions that figures depend on."""
    return {"python": platform.python_version(), "system": platform.platform()} | {
        name: version(name) for name in PACKAGES
    }


def begin(run_id: str, config: PipelineConfig, started: float) -> None:
    """Writes the first snapshot of a run; from now on it can be read.

    Args:
      run_id: from `new_name`.
      config: the settings of the run.
      started: when the command was given, seconds since 1970.
    """
    write(Snapshot(run_id=run_id, config=config, started=started, versions=_versions()))


def of_data(data_dir: Path) -> dict[str, Any]:
    """Reads what ingestion left in its folder and the next run will overwrite.

    Args:
      data_dir: OUT/data.

    Returns:
      Attributes of a `Snapshot` by name.
    """
    # Imported here: the process that the user sees imports this module, and they bring Beam.
    from components.ingest.tfrecords import MANIFEST_NAME

    manifests = (data_dir / "tfrecords").glob(f"*/{MANIFEST_NAME}")
    return {
        "rejects": read_rejects(data_dir),
        "contradictions": read_contradictions(data_dir),
        "tranche_digests": {
            path.parent.name: json.loads(path.read_text(encoding="utf-8"))["digest"]
            for path in sorted(manifests, key=lambda path: tranche_order(path.parent.name))
        },
    }


def write(snapshot: Snapshot) -> None:
    """Writes a snapshot to its run's folder, whole or not at all.

    Raises:
      InputError: it cannot be written.
    """
    place = folder(snapshot.config.output_root, snapshot.run_id)
    write_json(snapshot, place / FILE_NAME)


def write_json(content: BaseModel, path: Path) -> None:
    """Writes a pydantic model as JSON, whole or not at all.

    Raises:
      InputError: it cannot be written; there may be no space.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            file.write(content.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}; fix that and give the same command"
            " again. Finished steps are kept."
        ) from error


def read(output_root: Path, run_id: str) -> Snapshot:
    """Reads the snapshot of a run.

    Args:
      output_root: where the run is now; its settings name this folder, although it may have
        been moved or copied since.
      run_id: of the run.

    Raises:
      InputError: there is none, or it is not one that `write` wrote.
    """
    kept = _recorded(output_root, run_id)
    config = kept.config.model_copy(update={"output_root": output_root})
    return kept.model_copy(update={"config": config})


def _recorded(output_root: Path, run_id: str) -> Snapshot:
    """Reads a snapshot as it was written, see `read`."""
    path = folder(output_root, run_id) / FILE_NAME
    try:
        return Snapshot.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        known = ", ".join(runs(output_root)[-5:]) or "none yet"
        raise InputError(
            f"There is no run {run_id} in {output_root}; the latest are: {known}."
        ) from error
    except ValidationError as error:
        raise InputError(f"{path} is not what a run wrote; the run cannot be read.") from error


def settings(output_root: Path) -> PipelineConfig:
    """Returns settings that say where the runs of an output folder are kept.

    Args:
      output_root: of the runs; the last of them knows.

    Raises:
      InputError: the last run cannot be read, or the output folder was moved: a server knows
        its runs by the folder's path.
    """
    known = runs(output_root)
    last = _recorded(output_root, known[-1]).config if known else None
    if last is None or last.metadata is None:
        return PipelineConfig(output_root=output_root)
    if last.output_root.resolve() != output_root.resolve():
        raise InputError(
            f"The runs in {output_root} are kept on {last.metadata} as those of"
            f" {last.output_root}; move the folder back there, or name that one with --output-root."
        )
    return PipelineConfig(output_root=output_root, metadata=last.metadata)


def runs(output_root: Path) -> list[str]:
    """The names of all runs, oldest first: a name begins with the time."""
    return sorted(path.parent.name for path in (output_root / "review").glob(f"*/{FILE_NAME}"))
