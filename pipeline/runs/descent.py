"""What was made from an image, according to ML Metadata: artifacts, runs and models."""

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from components.ingest import example_proto
from components.serving.versions import versions
from pipeline.config import PipelineConfig
from pipeline.runs import metadata_file
from schema import features

# Artifacts that outlive the images they come from: weights, and aggregates over many images.
# All others contain single images, their names or predictions for them. So do schemas: SchemaGen
# lists the values of columns with up to 100 of them, which are names where there is little data.
KEPT: Final = frozenset(
    {
        "AcceptanceDecision",
        "AcceptancePlan",
        "HyperParameters",
        "InfraBlessing",
        "Model",
        "ModelBlessing",
        "ModelEvaluation",
        "ModelRun",
        "PushedModel",
        "Review",  # its page is a file of its own
        "TransformGraph",  # the model contains it
        "ValidationVerdict",
    }
)
_EXAMPLES: Final = "Examples"
# Of artifacts that no database knows, these outputs are kept: models, and how they were trained.
_MODELS: Final = ("model", "model_run")
_LEARNED: Final = (features.TRAIN, features.EVAL)


@dataclass(frozen=True)
class Descendant:
    """A model that was trained or tested on the images.

    Attributes:
      id: its number in ML Metadata; None if the database does not know it.
      uri: its folder.
      used: whether it was trained on them, early stopping and calibration included, or only
        tested; `perhaps` if the examples it was made from are gone, as after an earlier purge.
      pushed: the versions that it is served as.
    """

    id: int | None
    uri: str
    used: Literal["trained", "tested", "perhaps"]
    pushed: tuple[Path, ...] = ()


@dataclass
class Descent:
    """What was made from some images.

    Attributes:
      artifacts: numbers of the artifacts to delete, see `KEPT`.
      folders: where these are.
      runs: the runs that used the images.
      models: the models that were trained or tested on them.
      known: the artifacts that runs may use, by folder.
      abandoned: folders of all others, which killed runs, purges and lost databases have left.
    """

    artifacts: list[int] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    models: list[Descendant] = field(default_factory=list)
    known: dict[Path, Any] = field(default_factory=dict)
    abandoned: list[Path] = field(default_factory=list)


def pattern(column: str, value: str) -> bytes:
    """Returns what every tf.train.Example contains in which a column has a value."""
    return example_proto.feature(column, value.encode(errors="surrogateescape"))


def holds(folder: Path, *wanted: bytes) -> bool:
    """Whether one of the TFRecords in a folder contains one of some patterns.

    A file that cannot be read to its end counts as if it did.
    """
    return any(
        pattern in record
        for path in sorted(folder.rglob("*.gz"))
        for record in _records(path, wanted[0])
        for pattern in wanted
    )


def _records(path: Path, unreadable: bytes) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            while head := file.read(12):
                (length,) = struct.unpack("<Q4x", head)
                yield file.read(length)
                file.read(4)
    except (OSError, EOFError, struct.error, zlib.error, OverflowError, MemoryError):
        yield unreadable


def trace(config: PipelineConfig, *wanted: bytes) -> Descent:
    """Follows images through ML Metadata.

    Args:
      config: says where the database is. Without a database the result is empty.
      *wanted: what the images' examples contain, one of these each; see `pattern`.

    Raises:
      InputError: the database cannot be read.
    """
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    from pipeline.runs import lineage

    if not lineage.has_database(config):
        return _with_abandoned(Descent(), config)
    store = lineage.open_store(config)
    artifacts = {artifact.id: artifact for artifact in lineage.artifacts(store, config)}
    events = store.get_events_by_artifact_ids(list(artifacts)) if artifacts else []
    producers: dict[int, int] = {}  # the first of several: cached runs and resolvers count as well
    consumers: dict[int, set[int]] = {}
    for event in events:
        if event.type == mlmd.Event.OUTPUT:
            known = producers.get(event.artifact_id, event.execution_id)
            producers[event.artifact_id] = min(known, event.execution_id)
        elif event.type == mlmd.Event.INPUT:
            consumers.setdefault(event.artifact_id, set()).add(event.execution_id)
    made: dict[int, list[int]] = {}
    for artifact_id, execution_id in producers.items():
        made.setdefault(execution_id, []).append(artifact_id)

    def splits(artifact: Any) -> set[str]:
        folders = Path(artifact.uri).glob("Split-*")
        return {path.name.removeprefix("Split-") for path in folders if holds(path, *wanted)}

    found = {
        number: names
        for number, artifact in artifacts.items()
        if artifact.type == _EXAMPLES and (names := splits(artifact))
    }
    everything = _reachable(found, consumers, made)
    learnt = [number for number, names in found.items() if names & set(_LEARNED)]
    trained = _reachable(learnt, consumers, made)
    lost = (
        number
        for number, artifact in artifacts.items()
        if artifact.type == _EXAMPLES and not Path(artifact.uri).exists()
    )
    perhaps = _reachable(lost, consumers, made)
    executions = {producers[number] for number in everything if number in producers}
    executions |= {each for number in everything for each in consumers.get(number, ())}
    gone = [number for number in sorted(everything) if artifacts[number].type not in KEPT]
    served = versions(config.serving_dir)
    descent = Descent(
        artifacts=gone,
        folders=[Path(artifacts[number].uri) for number in gone],
        runs={
            context.name
            for execution in executions
            for context in store.get_contexts_by_execution(execution)
            if context.type == "pipeline_run"
        },
        models=[
            Descendant(
                id=number,
                uri=artifacts[number].uri,
                used="trained"
                if number in trained
                else "perhaps"
                if number in perhaps
                else "tested",
                pushed=tuple(
                    version.folder
                    for version in served
                    if version.holds(number, artifacts[number].create_time_since_epoch)
                ),
            )
            for number in sorted(everything | perhaps)
            if artifacts[number].type == "Model"
        ],
        known={
            Path(artifact.uri): artifact
            for artifact in artifacts.values()
            if artifact.state == mlmd.Artifact.LIVE
        },
    )
    return _with_abandoned(descent, config)


def _with_abandoned(descent: Descent, config: PipelineConfig) -> Descent:
    """Adds the folders that no run can use, and the models that the database does not know."""
    models = {
        (artifact.id, artifact.create_time_since_epoch)
        for artifact in descent.known.values()
        if artifact.type == "Model"
    }
    descent.models += [
        Descendant(None, str(version.folder), "perhaps")
        for version in versions(config.serving_dir)
        if version.origin is None
        or (version.origin.model_id, version.origin.model_created) not in models
    ]
    for folder in metadata_file.artifact_folders(config):
        if folder in descent.known:
            continue
        if folder.parent.name not in _MODELS:
            descent.abandoned.append(folder)
        elif any(folder.rglob("saved_model.pb")):
            descent.models.append(Descendant(None, str(folder), "perhaps"))
    return descent


def _reachable(
    start: Iterable[int], consumers: dict[int, set[int]], made: dict[int, list[int]]
) -> set[int]:
    """Returns some artifacts and all that were made from them."""
    seen, waiting = set[int](), list(start)
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            waiting += [
                made_here
                for execution in consumers.get(number, ())
                for made_here in made.get(execution, ())
            ]
    return seen


def mark_deleted(config: PipelineConfig, numbers: list[int]) -> None:
    """Marks artifacts as deleted in ML Metadata, so that no run uses them again."""
    if not numbers:
        return
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    from pipeline.runs import lineage

    store = lineage.open_store(config, mlmd.SqliteMetadataSourceConfig.READWRITE)
    lineage.mark_deleted(store, store.get_artifacts_by_id(numbers))
