"""The record of a run, OUT/run.json: what is in it, and how it is written and read."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.errors import InputError
from pipeline.config import PipelineConfig

# How a step ended.
State = Literal["ran", "cached", "failed", "skipped"]
Verdict = Literal["pushed", "not_blessed", "invalid_data", "failed"]

# Exit status of the command by verdict; 2 is left to usage.
EXIT_STATUS: Final[dict[Verdict, int]] = {
    "pushed": 0,
    "not_blessed": 3,
    "invalid_data": 4,
    "failed": 1,
}

OVERALL: Final = "overall"  # the slice of all test images in `Outcome.metrics`


class Finding(BaseModel):
    """Something about the data, in a sentence; a blocking one stops the run."""

    severity: Literal["blocking", "warning"]
    sentence: str


class Counts(BaseModel):
    """How much data there was.

    Attributes:
      rows: rows of the label tables.
      images: images in the TFRecords.
      rejected: rows and files that are not in them, each in a table with its reason.
      clips: different clips among the images.
      splits: images by split; empty if the run ended before.
    """

    rows: int = 0
    images: int = 0
    rejected: int = 0
    clips: int = 0
    splits: dict[str, int] = {}


class Stage(BaseModel):
    """One step of the run, ingestion included, and how it ended."""

    name: str
    state: State
    seconds: float


class Outcome(BaseModel):
    """Everything there is to say about a run.

    Attributes:
      run_id: also the name of the run in ML Metadata and of its log.
      verdict: see `EXIT_STATUS`.
      demo: whether the run drew its own data; its accuracy then says nothing
        about the clinic.
      reasons: why the verdict is not `pushed`, each a sentence.
      findings: what the gate found in the data.
      accuracy: on all test images, 0 to 1; None if the run ended before.
      metrics: by slice, see `evaluation_result.read_metrics`.
      counts: how much data there was.
      components: the steps in order.
      seconds: from the command to the verdict.
      paths: where things are, absolute.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    verdict: Verdict
    demo: bool
    reasons: list[str] = []
    findings: list[Finding] = []
    accuracy: float | None = None
    metrics: dict[str, dict[str, Any]] = {}
    counts: Counts = Counts()
    components: list[Stage] = []
    seconds: float = 0.0
    paths: dict[str, str] = {}

    @property
    def exit_status(self) -> int:
        """What the command returns to the shell."""
        return EXIT_STATUS[self.verdict]


def failed(
    config: PipelineConfig,
    run_id: str,
    stages: list[Stage],
    counts: Counts,
    reason: str,
    verdict: Verdict = "failed",
) -> Outcome:
    """The outcome of a run that ended before there was anything to judge.

    Args:
      config: the settings of the run.
      run_id: its name.
      stages: how far it came.
      counts: what had been counted.
      reason: a sentence.
      verdict: `failed`, or `invalid_data` if ingestion refused the data.
    """
    findings = [Finding(severity="blocking", sentence=reason)] if verdict == "invalid_data" else []
    return Outcome(
        run_id=run_id,
        verdict=verdict,
        demo=config.is_demo,
        reasons=[reason],
        findings=findings,
        counts=counts,
        components=stages,
        paths=paths(config, run_id),
    )


def write(outcome: BaseModel, path: Path) -> None:
    """Writes an outcome as JSON; a reader sees the old file or the new one, never a part.

    Args:
      outcome: what to write, or another model of pydantic.
      path: the file; its folder exists.

    Raises:
      InputError: it cannot be written; there may be no space.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(outcome.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}; mend that and give the same command"
            " again, finished steps are kept."
        ) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def moment(seconds: float) -> str:
    """A time as people and programs read it: ISO 8601, UTC, whole seconds.

    Args:
      seconds: since 1970.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def read(path: Path) -> Outcome | None:
    """Reads a run.json.

    Args:
      path: the file.

    Returns:
      The outcome, or None if there is no such file.

    Raises:
      InputError: the file is not one that `write` wrote.
    """
    try:
        return Outcome.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise InputError(f"{path} is not the record of a run; move it away to go on.") from error


def paths(config: PipelineConfig, run_id: str) -> dict[str, str]:
    """Where the things are that every run has, by name."""
    return {
        "output": str(config.output_root),
        "data": str(config.data_dir),
        "metadata": str(config.metadata_store),
        "record": str(config.record_path),
        "log": str(config.log_path(run_id)),
    }
