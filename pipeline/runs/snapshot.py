"""What only the run itself knew: settings, versions, ingestion, and why it broke off.

The worker writes it beside the page, so that the page can be drawn again when a
later run has long since put other tables into OUT/data.
"""

import json
import platform
import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from components.errors import InputError
from pipeline.config import PipelineConfig
from pipeline.metadata_server import MetadataServer
from pipeline.runs import record
from pipeline.runs.left_out import Contradiction, Reject, read_contradictions, read_rejects
from pipeline.runs.record import Counts, Stage, Verdict

_Model = TypeVar("_Model", bound=BaseModel)

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


class Snapshot(BaseModel):
    """A run as its worker saw it.

    Attributes:
      run_id: its name.
      config: its settings.
      started: when the command was given, seconds since 1970.
      stages: the steps before the pipeline.
      counts: what ingestion counted.
      rejects: what is not in the data.
      contradictions: what contradicts itself.
      tranche_digests: SHA-256 of what each tranche's TFRecords were made from.
      nodes: the nodes of the pipeline, in order; empty if the run ended before it.
      versions: of Python and the packages.
      verdict: that of a run which ended before the pipeline, else None.
      failure: why the run ended early, a sentence; empty if it did not.
    """

    run_id: str
    config: PipelineConfig
    started: float
    stages: list[Stage] = []
    counts: Counts = Counts()
    rejects: list[Reject] = []
    contradictions: list[Contradiction] = []
    tranche_digests: dict[str, str] = {}
    nodes: list[str] = []
    versions: dict[str, str] = {}
    verdict: Verdict | None = None
    failure: str = ""


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


def versions() -> dict[str, str]:
    """The versions that figures depend on."""
    return {"python": platform.python_version(), "system": platform.platform()} | {
        name: version(name) for name in PACKAGES
    }


def of_data(data_dir: Path) -> dict[str, Any]:
    """What ingestion left in its folder that the next run will overwrite, by attribute.

    Args:
      data_dir: OUT/data.
    """
    # In here, because it brings Beam and pandas along, and the process that the user
    # sees imports this module.
    from components.ingest.tfrecords import MANIFEST_NAME

    manifests = sorted((data_dir / "tfrecords").glob(f"*/{MANIFEST_NAME}"))
    return {
        "rejects": read_rejects(data_dir),
        "contradictions": read_contradictions(data_dir),
        "tranche_digests": {
            path.parent.name: json.loads(path.read_text(encoding="utf-8"))["digest"]
            for path in manifests
        },
    }


def write(snapshot: Snapshot) -> None:
    """Writes a snapshot to its run's folder, whole or not at all."""
    place = folder(snapshot.config.output_root, snapshot.run_id)
    place.mkdir(parents=True, exist_ok=True)
    record.write(snapshot, place / FILE_NAME)


def read(output_root: Path, run_id: str) -> Snapshot:
    """Reads the snapshot of a run.

    Raises:
      InputError: there is none, or it is not one that `write` wrote.
    """
    return _read(Snapshot, output_root, run_id)


class _Place(BaseModel):
    """The settings that say where a run leaves things; a later version knows them, too."""

    output_root: Path
    metadata: MetadataServer | None = None


class _Placed(BaseModel):
    config: _Place


def _read(model: type[_Model], output_root: Path, run_id: str) -> _Model:
    path = folder(output_root, run_id) / FILE_NAME
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        known = ", ".join(runs(output_root)[-5:]) or "none yet"
        raise InputError(
            f"There is no run {run_id} to review in {output_root}; the latest are: {known}."
        ) from error
    except ValidationError as error:
        raise InputError(f"{path} is not what a run wrote; the run cannot be reviewed.") from error


def settings(output_root: Path) -> PipelineConfig:
    """Says where the runs of an output folder have left what they made, and their metadata.

    Args:
      output_root: of the runs; the last one knows.

    Raises:
      InputError: the last run cannot be read, or the folder was another one for it; on a
        server, runs are kept by its name.
    """
    known = runs(output_root)
    last = _read(_Placed, output_root, known[-1]).config if known else None
    if last is None or last.metadata is None:
        return PipelineConfig(output_root=output_root)
    if last.output_root.resolve() != output_root.resolve():
        raise InputError(
            f"The runs in {output_root} are kept on {last.metadata} as those of"
            f" {last.output_root}; move the folder back there, or name that one with --output-root."
        )
    return PipelineConfig(output_root=last.output_root, metadata=last.metadata)


def stopped(output_root: Path, known: Collection[str]) -> list[Snapshot]:
    """The runs that ended before the pipeline, oldest first.

    Args:
      output_root: of the runs.
      known: those that ML Metadata knows.
    """
    return [read(output_root, run_id) for run_id in runs(output_root) if run_id not in known]


def runs(output_root: Path) -> list[str]:
    """The runs that can be reviewed, oldest first: their names are their times."""
    return sorted(path.parent.name for path in (output_root / "review").glob(f"*/{FILE_NAME}"))
