"""What ML Metadata knows of runs, components and artifacts. Never imports TFX.

ML Metadata names artifacts by absolute paths, as TFX needs them. Output folders are moved,
copied and restored from backups; so nothing here hands out such a path, only where it leads in
the folder that was given (`place`). What is written: that artifacts are gone (`mark_deleted`),
where they are now (`adopt`), texts without a purged name (`rewrite`), and what people decided
(`record`).
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.errors import InputError
from components.serving.versions import SignOff
from pipeline.config import PipelineConfig
from pipeline.runs.run import Artifact, Artifacts, State

# TFX's types of context: what all runs of a pipeline share, one run, one node of the pipeline.
_PIPELINE: Final = "pipeline"
_RUN: Final = "pipeline_run"
_NODE: Final = "node"

# Our own type of execution: a person's decision, whose properties are those of a `SignOff`.
_SIGN_OFF: Final = "SignOff"
_PUSHED: Final = "PushedModel"  # TFX's type of artifact

_OUTPUT: Final[int] = mlmd.Event.OUTPUT
_INPUT: Final[int] = mlmd.Event.INPUT

_PATIENCE: Final = 60.0  # seconds that a new database may take to get its tables
_STATES: Final[dict[int, State]] = {
    mlmd.Execution.COMPLETE: "ran",
    mlmd.Execution.CACHED: "cached",
    mlmd.Execution.RUNNING: "running",
}


def sqlite(place: Path, mode: int) -> mlmd.ConnectionConfig:
    """Returns how to connect to a SQLite file; `mode` is a `SqliteMetadataSourceConfig` mode."""
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = str(place)
    connection.sqlite.connection_mode = mode
    return connection


def has_database(config: PipelineConfig) -> bool:
    """Whether an output folder has a database: a server, or a file that its first run has made."""
    return config.metadata is not None or config.metadata_path.is_file()


def connection(config: PipelineConfig, mode: int) -> mlmd.ConnectionConfig:
    """Returns how to connect to the database of an output folder.

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


def place(uri: str, config: PipelineConfig) -> str:
    """Returns the path of an artifact in an output folder, wherever it was when it was made.

    TFX gives each the folder NODE/KEY/EXECUTION below the root of its pipeline.

    Args:
      uri: the artifact's, as ML Metadata has it.
      config: says where the output folder is.

    Raises:
      InputError: it is no such path.
    """
    parts = PurePath(uri.lstrip("/")).parts[-3:]
    if len(parts) < 3 or ".." in parts:
        raise InputError(
            f"{config.metadata_store} names {uri!r}, which is no folder of an artifact; it is not"
            " the database of this output folder."
        )
    return str(config.pipeline_root.joinpath(*parts))


def artifacts(store: metadata_store.MetadataStore, config: PipelineConfig) -> list[mlmd.Artifact]:
    """The artifacts of an output folder, where they are now; on a server there are others."""
    return [now for _, now in _places(store, config)]


def _places(
    store: metadata_store.MetadataStore, config: PipelineConfig
) -> Iterator[tuple[str, mlmd.Artifact]]:
    """Yields the artifacts of an output folder, where they are now and where they were."""
    pipeline = store.get_context_by_type_and_name(_PIPELINE, config.pipeline_name)
    for artifact in store.get_artifacts_by_context(pipeline.id) if pipeline else []:
        recorded, artifact.uri = artifact.uri, place(artifact.uri, config)
        yield recorded, artifact


def adopt(config: PipelineConfig) -> None:
    """Lets ML Metadata name the artifacts where they are now, in a folder that was moved or copied.

    TFX would read the baseline and cached artifacts where they were. Call it before a run.
    """
    if not has_database(config):
        return
    store = open_store(config, mlmd.SqliteMetadataSourceConfig.READWRITE)
    changed = []
    for recorded, artifact in _places(store, config):
        artifact.uri = config.told(Path(artifact.uri))
        changed += [artifact] if artifact.uri != recorded else []
    store.put_artifacts(changed)


def rewrite(config: PipelineConfig, without: Callable[[str], str]) -> None:
    """Removes names from what components said of themselves: a failed one's message is kept.

    Args:
      config: says where the database is.
      without: returns a text without the names.
    """
    if not has_database(config):
        return
    store = open_store(config, mlmd.SqliteMetadataSourceConfig.READWRITE)
    pipeline = store.get_context_by_type_and_name(_PIPELINE, config.pipeline_name)
    changed = []
    for execution in store.get_executions_by_context(pipeline.id) if pipeline else []:
        texts = [
            value
            for values in (execution.properties, execution.custom_properties)
            for value in values.values()
            if without(value.string_value) != value.string_value
        ]
        for value in texts:
            value.string_value = without(value.string_value)
        changed += [execution] if texts else []
    store.put_executions(changed)
    if config.metadata is None:
        with closing(sqlite3.connect(config.metadata_path)) as database:
            database.execute("VACUUM")  # or the old text stays in pages that are free


def mark_deleted(store: metadata_store.MetadataStore, artifacts: Sequence[mlmd.Artifact]) -> None:
    """Marks artifacts as deleted in ML Metadata, so that nothing is made from them."""
    for artifact in artifacts:
        artifact.state = mlmd.Artifact.DELETED
    store.put_artifacts(artifacts)


def record(config: PipelineConfig, sign_off: SignOff, judged_by: Mapping[str, int]) -> None:
    """Records what a person decided, once, however often it is called.

    The execution has the models, and what they were judged by, as inputs; of a version that went
    into service, a `PushedModel` is its output, as the Pusher's. All of it is written in one
    transaction.

    Args:
      config: says where the database is.
      sign_off: the decision.
      judged_by: numbers of other artifacts that it rests on, by input key.
    """
    store = open_store(config, mlmd.SqliteMetadataSourceConfig.READWRITE)
    pipeline = store.get_context_by_type_and_name(_PIPELINE, config.pipeline_name)
    if pipeline is None:  # a new database that no run has reached
        return
    kind = store.put_execution_type(mlmd.ExecutionType(name=_SIGN_OFF))
    execution = mlmd.Execution(type_id=kind, name=f"{config.pipeline_name}/{sign_off.id}")
    if sign_off.version is not None:
        # Its number names the folder of its output. A killed one has it already.
        begun = store.get_execution_by_type_and_name(_SIGN_OFF, execution.name)
        execution.id = begun.id if begun else store.put_executions([execution])[0]
    execution.last_known_state = mlmd.Execution.COMPLETE
    for key, value in sign_off.model_dump(exclude_none=True).items():
        _set(execution.custom_properties[key], value)
    models = {
        "model": (sign_off.model_id, sign_off.model_created),
        "withdrawn_model": sign_off.withdrawn_model,
    }
    linked = [
        (artifact, _event(_INPUT, key))
        for key, model in models.items()
        for artifact in (store.get_artifacts_by_id([model[0]]) if model else ())
        if (artifact.id, artifact.create_time_since_epoch) == model  # of this database
    ]
    linked += [
        (artifact, _event(_INPUT, key))
        for key, number in judged_by.items()
        for artifact in store.get_artifacts_by_id([number])
    ]
    if sign_off.version is not None:
        output = config.pipeline_root / _SIGN_OFF / "pushed_model" / str(execution.id)
        output.mkdir(parents=True, exist_ok=True)
        of_pushes = mlmd.ArtifactType(name=_PUSHED)
        pushed = mlmd.Artifact(
            type_id=store.put_artifact_type(of_pushes, can_omit_fields=True),
            uri=config.told(output),
            state=mlmd.Artifact.LIVE,
        )
        folder = config.serving_dir / str(sign_off.version)
        _set(pushed.custom_properties["pushed"], 1)
        _set(pushed.custom_properties["pushed_destination"], str(folder))
        _set(pushed.custom_properties["pushed_version"], str(sign_off.version))
        linked.append((pushed, _event(_OUTPUT, "pushed_model")))
    store.put_execution(execution, linked, [pipeline])


def _set(value: mlmd.Value, content: str | int) -> None:
    setattr(value, "string_value" if isinstance(content, str) else "int_value", content)


def _event(kind: int, key: str) -> mlmd.Event:
    event = mlmd.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


@dataclass(frozen=True)
class Node:
    """What ML Metadata knows of a component in one run.

    Attributes:
      state: an execution that is still RUNNING is being worked on, or was interrupted.
      seconds: from its start to its end.
      ended: when it was last heard of, seconds since 1970.
      properties: its execution properties by name.
    """

    state: State
    seconds: float
    ended: float
    properties: Mapping[str, Any]


class Lineage:
    """All that ML Metadata knows of the runs of one output folder, read at once.

    `sign_offs` is what people decided about their models.

    Args:
      config: says where the database is.

    Raises:
      InputError: there is no answer, or it is no database of ML Metadata.
    """

    def __init__(self, config: PipelineConfig) -> None:
        store = open_store(config)
        pipeline = store.get_context_by_type_and_name(_PIPELINE, config.pipeline_name)
        runs = store.get_children_contexts_by_context(pipeline.id) if pipeline else []
        self._runs = {run.name: run.id for run in runs if run.type == _RUN}
        self._executions = {
            execution.id: execution
            for execution in (store.get_executions_by_context(pipeline.id) if pipeline else [])
        }
        self.sign_offs = [
            SignOff.model_validate(_values(execution.custom_properties))
            for execution in self._executions.values()
            if execution.type == _SIGN_OFF
        ]
        self._nodes: dict[int, str] = {}
        self._run_of: dict[int, str] = {}
        for context in store.get_contexts_by_type(_NODE) if pipeline else []:
            name, _, node_id = context.name.partition(".")
            if name == config.pipeline_name:
                for execution in store.get_executions_by_context(context.id):
                    self._nodes[execution.id] = node_id
        for name, number in self._runs.items():
            for execution in store.get_executions_by_context(number):
                self._run_of[execution.id] = name
        events = store.get_events_by_execution_ids(list(self._nodes)) if self._nodes else []
        self._events = [event for event in events if event.type in (_OUTPUT, _INPUT)]
        made: dict[int, int] = {}  # by artifact, the execution that made it
        for event in self._events:
            if event.type == _OUTPUT:
                known = made.get(event.artifact_id, event.execution_id)
                made[event.artifact_id] = min(known, event.execution_id)
        numbers = sorted({event.artifact_id for event in self._events})
        self._artifacts = {
            message.id: self._artifact(message, place(message.uri, config), made.get(message.id))
            for message in (store.get_artifacts_by_id(numbers) if numbers else [])
        }

    def __contains__(self, run_id: str) -> bool:
        """Whether a run of that name has reached the pipeline."""
        return run_id in self._runs

    def nodes(self, run_id: str) -> dict[str, Node]:
        """The components of a run that have begun, by node id, in the order of their beginning."""
        return {
            self._nodes[number]: Node(
                state=_STATES.get(execution.last_known_state, "failed"),
                seconds=_seconds(execution),
                ended=execution.last_update_time_since_epoch / 1000,
                properties=_values(execution.custom_properties),
            )
            for number, execution in sorted(self._executions.items())
            if self._run_of.get(number) == run_id
        }

    def outputs(self, run_id: str) -> Artifacts:
        """The first artifact of each output in a run, by node id and output key."""
        return self._linked(run_id, _OUTPUT)

    def inputs(self, run_id: str) -> Artifacts:
        """The first artifact of each input in a run, by node id and input key."""
        return self._linked(run_id, _INPUT)

    def _linked(self, run_id: str, kind: int) -> Artifacts:
        latest = {
            self._nodes[number]: number
            for number in sorted(self._nodes)
            if self._run_of.get(number) == run_id
        }
        found: dict[tuple[str, str], Artifact] = {}
        for event in sorted(self._events, key=lambda event: event.artifact_id):
            node = self._nodes[event.execution_id]
            if event.type == kind and latest.get(node) == event.execution_id:
                key = (node, event.path.steps[0].key)
                found.setdefault(key, self._artifacts[event.artifact_id])
        return found

    def _artifact(self, message: mlmd.Artifact, uri: str, made_by: int | None) -> Artifact:
        return Artifact(
            id=message.id,
            type=message.type,
            uri=uri,
            properties=_values(message.properties) | _values(message.custom_properties),
            created=message.create_time_since_epoch,
            made_by=self._run_of.get(made_by or 0, ""),
            seconds=_seconds(self._executions[made_by]) if made_by in self._executions else 0.0,
        )


def _seconds(execution: mlmd.Execution) -> float:
    milliseconds = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return milliseconds / 1000


def _values(properties: Mapping[str, mlmd.Value]) -> dict[str, Any]:
    return {
        name: getattr(value, kind)
        for name, value in properties.items()
        if (kind := value.WhichOneof("value")) is not None
    }
