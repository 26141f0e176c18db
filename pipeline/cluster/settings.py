"""The `[cluster]` table of a run's settings: what is requested from Slurm, what runs Beam's stages.

[cluster]
engine = "flink"
nodes = 3
cpus = 16
memory_gb = 96
time_limit = "0:40:00"
partition = "gpu"
gres = "gpu:1"
modules = ["python/3.11"]
"""

import operator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from components.errors import InputError
from pipeline import config as run_settings
from pipeline.config import PipelineConfig
from pipeline.forms import form

DEFAULT_JARS: Final = Path(__file__).resolve().parents[2] / ".flink"
_FLINK_MEMORY_GB: Final = 6  # on each node: Java's and Python's processes side by side

# Each becomes one word of the batch script; a constraint may be "[rack1|rack2]".
_Word = Annotated[
    str, form(r"[\w.:,=/+@&|()\[\]*!-]+", "a word in quotes, without blanks and quotes in it")
]
# sbatch(1), --time. A bare number is minutes there, too.
_TimeLimit = Annotated[
    str,
    form(
        r"(?i)\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|unlimited|infinite",
        'a time as Slurm writes it: "90" (minutes), "90:00", "1:30:00", "2-12" (days-hours),'
        ' "2-12:30", "2-12:30:00" or "UNLIMITED"',
    ),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]
_Master = Annotated[str, form(r"[\w.-]+:\d+", 'HOST:PORT, for example "node1:8081"')]
_BeamOption = Annotated[
    str, form(r"(?s)--[A-Za-z]\w*(=.*)?", 'one option, "--name=value" or "--name"')
]
# Made absolute, because a job runs in another folder.
_Folder = Annotated[
    Path, Field(strict=False), AfterValidator(lambda path: path.expanduser().absolute())
]


def _seconds(limit: str) -> int:
    """The length of a time as Slurm writes it; 0 means no limit, as it does to Slurm."""
    if limit.isalpha():
        return 0
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(map(operator.mul, parts, units))


class ClusterSettings(BaseModel):
    """How a run uses a cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # local: in the job's process, on one node; flink: on a session of Flink on all nodes.
    engine: Literal["local", "flink"] = "local"
    nodes: int = Field(1, ge=1)
    cpus: int = Field(4, ge=1)  # on each node
    memory_gb: int = Field(16, ge=1)  # on each node
    time_limit: _TimeLimit = "4:00:00"
    warning: int = Field(
        120, ge=10, le=65535
    )  # seconds before the limit at which the job requeues itself
    partition: _Word | None = None
    account: _Word | None = None
    qos: _Word | None = None
    constraint: _Word | None = None  # features that each node must have
    gres: _Word | None = None  # on each node, for example gpu:1
    modules: list[_Word] = []
    # Of engine "flink" only.
    workers: int | None = Field(None, ge=1)  # Beam workers on each node; None means `cpus`
    node_losses: int = Field(2, ge=0)  # nodes that may be lost before the run fails
    flink_jars: _Folder = DEFAULT_JARS  # written by `setup`
    # HOST:PORT of a running Flink's REST interface, to use instead of a session of the job's own.
    flink_master: _Master | None = None
    # Beam's own options for any other engine, in place of `engine`.
    beam_options: list[_BeamOption] = []

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> Self:
        if self.engine == "local" and self.nodes > 1:
            raise ValueError('only engine "flink" uses more than one node')
        if self.flink_master is not None and (self.engine != "flink" or self.nodes > 1):
            raise ValueError('flink_master is for engine "flink" on one node')
        if self.engine == "flink" and self.memory_gb < _FLINK_MEMORY_GB:
            raise ValueError(f'engine "flink" needs memory_gb = {_FLINK_MEMORY_GB} or more')
        if self.engine == "flink" and self.beam_options:
            raise ValueError('beam_options replace the engine; leave out engine = "flink"')
        if 0 < _seconds(self.time_limit) <= self.warning:
            raise ValueError(
                f"time_limit is {self.time_limit} and should be longer than warning"
                f" ({self.warning} s), when the job goes back into the queue"
            )
        return self

    @property
    def task_manager_mb(self) -> int:
        """Memory of a Flink task manager; most of a node's is for Python, which does the work."""
        return self.memory_gb * 1024 // 4

    @property
    def workers_per_node(self) -> int:
        """Beam workers on each node."""
        return self.workers or self.cpus


def load(path: Path | None, **overrides: Any) -> tuple[PipelineConfig, ClusterSettings]:
    """Reads the settings of a run and the table `[cluster]` from one TOML file.

    Args:
      path: the file, or None for the defaults.
      **overrides: settings of the run by name, see `pipeline.config.load`.

    Raises:
      InputError: the file cannot be read, or a key or value is not allowed.
    """
    config = run_settings.load(path, **overrides)
    table = run_settings.read(path).get("cluster", {}) if path else {}
    try:
        cluster = ClusterSettings.model_validate(table)
    except ValidationError as error:
        words = run_settings.problems(error, ClusterSettings, "cluster")
        raise InputError(f"The cluster settings in {path} cannot be used: {words}.") from error
    if cluster.engine == "flink" and config.is_pattern:
        raise InputError(
            f"On Flink no `*`, `?`, `[` or backslash may be in the path {config.output_root}; name"
            " another folder with --output-root."
        )
    return config, cluster
