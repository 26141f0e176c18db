"""Reads runs, components and artifacts out of ML Metadata. Never imports TFX.

All that is ever written here is that artifacts are no more, by `mark_deleted`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.errors import InputError
from pipeline.config import PipelineConfig
from pipeline.runs.record import State

_PIPELINE: Final = "pipeline"  # TFX's type of the context that all runs of a pipeline share

_PATIENCE: Final = 60.0  # seconds that a new database may take to get its tables
_DONE: dict[int, State] = {mlmd.Execution.COMPLETE: "ran", mlmd.Execution.CACHED: "cached"}


@dataclass(frozen=True)
class Artifact:
    """What a component put out.

    Attributes:
      id: ML Metadata's number.
      type: name of TFX's artifact type, for example `ModelBlessing`.
      uri: its folder.
      properties: properties and custom properties by name.
      created: milliseconds since 1970, UTC.
    """

    id: int
    type: str
    uri: str
    properties: dict[str, Any]
    created: int

    @property
    def folder(self) -> Path:
        """The folder of the artifact."""
        return Path(self.uri)


# Artifacts by node id and key of the output, or input.
Outputs = dict[tuple[str, str], Artifact]


@dataclass(frozen=True)
class Component:
    """How a component of a run ended.

    Attributes:
      name: its node id in the pipeline.
      state: `skipped` has no execution in ML Metadata; one that is still RUNNING
        was interrupted, and counts as failed.
      seconds: from its start to its end.
    """

    name: str
    state: State
    seconds: float


def sqlite(place: Path, mode: int) -> mlmd.ConnectionConfig:
    """Says how to connect to a SQLite file; `mode` is one of `SqliteMetadataSourceConfig`'s."""
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = str(place)
    connection.sqlite.connection_mode = mode
    return connection


def has_database(config: PipelineConfig) -> bool:
    """Whether an output folder has a database: a server, or a file that its first run has made."""
    return config.metadata is not None or config.metadata_path.is_file()


def connection(config: PipelineConfig, mode: int) -> mlmd.ConnectionConfig:
    """Says how to connect to the database of an output folder.

    Args:
      config: says where it is.
      mode: of a SQLite file, see `sqlite`.

    Raises:
      InputError: a server's password is missing.
    """
    return config.metadata.connection() if config.metadata else sqlite(config.metadata_path, mode)


def open_store(
    config: PipelineConfig, mode: int = mlmd.SqliteMetadataSourceConfig.READONLY
) -> metadata_store.MetadataStore:
    """Connects to the database of an output folder.

    Args:
      config: says where it is.
      mode: of a SQLite file, see `sqlite`.

    Raises:
      InputError: there is no answer, or it is no database of ML Metadata.
    """
    try:
        return _connect(connection(config, mode))
    except RuntimeError as error:
        words = str(error).strip().partition("\n")[0].removesuffix(".")
        hint = "; see whether it runs, and takes this user and password" if config.metadata else ""
        raise InputError(
            f"{config.metadata_store} cannot be read as a database of runs ({words}){hint}."
        ) from error


def _connect(place: mlmd.ConnectionConfig) -> metadata_store.MetadataStore:
    """Opens a database; waits while somebody else makes its tables."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return metadata_store.MetadataStore(place)
        except RuntimeError as error:  # whatever its C++ side reports
            # Of two who meet in an empty database, one makes the tables; the other is told so.
            if "concurrent connection" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def artifacts(store: metadata_store.MetadataStore, config: PipelineConfig) -> list[mlmd.Artifact]:
    """The artifacts of an output folder; on a server there are others."""
    pipeline = store.get_context_by_type_and_name(_PIPELINE, config.pipeline_name)
    return store.get_artifacts_by_context(pipeline.id) if pipeline else []


def mark_deleted(store: metadata_store.MetadataStore, artifacts: Sequence[mlmd.Artifact]) -> None:
    """Says in ML Metadata that artifacts are no more, so that nothing is made from them."""
    for artifact in artifacts:
        artifact.state = mlmd.Artifact.DELETED
    store.put_artifacts(artifacts)


class Lineage:
    """The database of one output folder."""

    def __init__(self, config: PipelineConfig) -> None:
        """Opens the database.

        Args:
          config: says where it is.

        Raises:
          InputError: there is no such file, no answer, or it is no database of ML Metadata.
        """
        if not has_database(config):
            raise InputError(
                f"There is no run in {config.output_root} yet ({config.metadata_path.name} is"
                " missing); start one with `lookdeep run`, or name another folder with"
                " --output-root."
            )
        self._store, self._pipeline = open_store(config), config.pipeline_name

    def runs(self) -> list[mlmd.Context]:
        """The pipeline runs of the folder, oldest first."""
        pipeline = self._store.get_context_by_type_and_name(_PIPELINE, self._pipeline)
        runs = self._store.get_children_contexts_by_context(pipeline.id) if pipeline else []
        return sorted(runs, key=lambda run: run.id)  # no time: the clock may have been set back

    def run(self, run_id: str) -> mlmd.Context | None:
        """The run of that id, if it reached the pipeline."""
        return self._store.get_context_by_type_and_name("pipeline_run", run_id)

    def executions(self, run: mlmd.Context) -> dict[str, mlmd.Execution]:
        """The latest execution of each component in a run, by node id."""
        executions = sorted(
            self._store.get_executions_by_context(run.id), key=lambda execution: execution.id
        )
        return {self._node_id(execution): execution for execution in executions}

    def components(self, run: mlmd.Context, node_ids: list[str]) -> list[Component]:
        """How each component of a run ended.

        Args:
          run: one of `runs`.
          node_ids: all nodes of the pipeline, in order.
        """
        executions = self.executions(run)
        return [
            Component(node_id, *_ending(executions[node_id]))
            if node_id in executions
            else Component(node_id, "skipped", 0.0)
            for node_id in node_ids
        ]

    def states(self, run: mlmd.Context) -> dict[str, str]:
        """The states of a run's components by node id, in order; also of one that is `running`."""
        return {
            node_id: "running"
            if execution.last_known_state == mlmd.Execution.RUNNING
            else _ending(execution)[0]
            for node_id, execution in self.executions(run).items()
        }

    def settings(self, run: mlmd.Context) -> dict[str, dict[str, Any]]:
        """The execution properties of a run's components, by node id and name."""
        return {
            node_id: _values(execution.custom_properties)
            for node_id, execution in self.executions(run).items()
        }

    def outputs(self, run: mlmd.Context) -> Outputs:
        """The first artifact of each output in a run, by node id and output key."""
        return self._artifacts(run, mlmd.Event.OUTPUT)

    def inputs(self, run: mlmd.Context) -> Outputs:
        """The first artifact of each input in a run, by node id and input key."""
        return self._artifacts(run, mlmd.Event.INPUT)

    def producer(self, artifact: Artifact) -> tuple[str, float]:
        """Where an artifact comes from, however often later runs took it from the cache.

        Returns:
          The run that made it, and how many seconds its component took.
        """
        made = min(
            event.execution_id
            for event in self._store.get_events_by_artifact_ids([artifact.id])
            if event.type == mlmd.Event.OUTPUT
        )
        (execution,) = self._store.get_executions_by_id([made])
        contexts = self._store.get_contexts_by_execution(made)
        run = next(context for context in contexts if context.type == "pipeline_run")
        return run.name, _ending(execution)[1]

    def _artifacts(self, run: mlmd.Context, kind: int) -> Outputs:
        executions = self.executions(run)
        names = {execution.id: node_id for node_id, execution in executions.items()}
        events = [
            event
            for event in self._store.get_events_by_execution_ids(list(names))
            if event.type == kind
        ]
        artifacts = {
            artifact.id: _artifact(artifact)
            for artifact in self._store.get_artifacts_by_id(
                sorted({event.artifact_id for event in events})
            )
        }
        outputs: Outputs = {}
        for event in sorted(events, key=lambda event: event.artifact_id):
            key = (names[event.execution_id], event.path.steps[0].key)
            outputs.setdefault(key, artifacts[event.artifact_id])
        return outputs

    def _node_id(self, execution: mlmd.Execution) -> str:
        contexts = self._store.get_contexts_by_execution(execution.id)
        node = next(context for context in contexts if context.type == "node")
        return node.name.partition(".")[2]  # "pipeline.node"


def _ending(execution: mlmd.Execution) -> tuple[State, float]:
    milliseconds = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return _DONE.get(execution.last_known_state, "failed"), milliseconds / 1000


def _artifact(message: mlmd.Artifact) -> Artifact:
    properties = _values(message.properties) | _values(message.custom_properties)
    return Artifact(
        message.id, message.type, message.uri, properties, message.create_time_since_epoch
    )


def _values(properties: Mapping[str, mlmd.Value]) -> dict[str, Any]:
    return {
        name: getattr(value, kind)
        for name, value in properties.items()
        if (kind := value.WhichOneof("value")) is not None
    }
