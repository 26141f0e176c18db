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

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import InputError
from pipeline import config as run_settings
from pipeline.config import PipelineConfig

DEFAULT_JARS: Final = Path(__file__).resolve().parents[2] / ".flink"
_FLINK_MEMORY_GB: Final = 6  # on each node: Java's and Python's processes side by side

# Each becomes one word of the batch script.
_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:,=/+@-]+$")]


class ClusterSettings(BaseModel):
    """How a run uses a cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # local: in the job's process, on one node; flink: on a session of Flink on all nodes.
    engine: Literal["local", "flink"] = "local"
    nodes: int = Field(1, ge=1)
    cpus: int = Field(4, ge=1)  # on each node
    memory_gb: int = Field(16, ge=1)  # on each node
    time_limit: str = Field("4:00:00", pattern=r"^(\d+-)?\d+(:\d\d){1,2}$")  # D-H:MM:SS
    warning: int = Field(120, ge=10)  # seconds before the limit at which the job requeues itself
    partition: _Word | None = None
    account: _Word | None = None
    gres: _Word | None = None  # on each node, for example gpu:1
    modules: list[_Word] = []
    # Of engine "flink" only.
    workers: int | None = Field(None, ge=1)  # Beam workers on each node; None means `cpus`
    node_losses: int = Field(2, ge=0)  # nodes that may be lost before the run fails
    flink_jars: Annotated[Path, Field(strict=False)] = DEFAULT_JARS  # written by `setup`
    # HOST:PORT of a running Flink's REST interface, to use instead of a session of the job's own.
    flink_master: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+:\d+$")
    # Beam's own options for any other engine, in place of `engine`.
    beam_options: list[str] = []

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
