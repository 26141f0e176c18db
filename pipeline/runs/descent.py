"""What comes from an image, by way of ML Metadata: artifacts, runs and models."""

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from components.ingest import example_proto
from pipeline.config import PipelineConfig
from schema import features

# They hold figures over many images, or weights; of everything else that comes from an image,
# single images, their names or what was said of them can be read.
KEPT: Final = frozenset(
    {
        "ExampleAnomalies",
        "HyperParameters",
        "InfraBlessing",
        "Model",
        "ModelBlessing",
        "ModelEvaluation",
        "ModelRun",
        "PushedModel",
        "Review",  # its page is a file of its own
        "Schema",
        "TransformGraph",
        "ValidationVerdict",
    }
)
_EXAMPLES: Final = "Examples"
_LEARNT: Final = (features.TRAIN, features.EVAL)


@dataclass(frozen=True)
class Descendant:
    """A model.

    Attributes:
      id: its number in ML Metadata.
      uri: its folder.
      trained: whether the images were among those that it learnt from, stopping and
        calibration included; else they were only among those that it was tested on.
      pushed: the folders that it was pushed to.
    """

    id: int
    uri: str
    trained: bool
    pushed: tuple[str, ...]


@dataclass
class Descent:
    """What comes from some images.

    Attributes:
      artifacts: numbers of the artifacts that hold single images or what is known of them.
      folders: where these are.
      runs: the runs that dealt with them.
      models: what was trained or tested with them.
    """

    artifacts: list[int] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    models: list[Descendant] = field(default_factory=list)


def pattern(column: str, value: str) -> bytes:
    """Returns what every tf.train.Example contains in which a column has a value."""
    return example_proto.feature(column, value.encode(errors="surrogateescape"))


def holds(folder: Path, wanted: bytes) -> bool:
    """Says whether one of the TFRecords in a folder has a pattern in it.

    One that cannot be read to its end counts as if it had.
    """
    return any(
        wanted in record
        for path in sorted(folder.rglob("*.gz"))
        for record in _records(path, wanted)
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


def trace(config: PipelineConfig, wanted: bytes) -> Descent:
    """Follows images through ML Metadata.

    Args:
      config: says where the database is; without one, nothing comes from anything.
      wanted: the pattern of the images' examples.

    Raises:
      InputError: the database cannot be read.
    """
    # Not above: `--help` has no use for it.
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    from pipeline.runs import lineage

    if not lineage.has_database(config):
        return Descent()
    store = lineage.open_store(config)
    artifacts = {artifact.id: artifact for artifact in lineage.artifacts(store, config)}
    events = store.get_events_by_artifact_ids(list(artifacts)) if artifacts else []
    producers: dict[int, int] = {}  # of several, a cached run and a resolver among them, the first
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
        return {path.name.removeprefix("Split-") for path in folders if holds(path, wanted)}

    found = {
        number: names
        for number, artifact in artifacts.items()
        if artifact.type == _EXAMPLES and (names := splits(artifact))
    }
    everything = _reachable(found, consumers, made)
    learnt = [number for number, names in found.items() if names & set(_LEARNT)]
    trained = _reachable(learnt, consumers, made)
    executions = {producers[number] for number in everything if number in producers}
    executions |= {each for number in everything for each in consumers.get(number, ())}
    gone = [
        number
        for number in sorted(everything)
        if artifacts[number].type not in KEPT and artifacts[number].uri
    ]
    return Descent(
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
                trained=number in trained,
                pushed=_pushed(number, artifacts, consumers, made),
            )
            for number in sorted(everything)
            if artifacts[number].type == "Model"
        ],
    )


def _reachable(
    start: Iterable[int], consumers: dict[int, set[int]], made: dict[int, list[int]]
) -> set[int]:
    """Artifacts that come from some, these included."""
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


def _pushed(
    model: int,
    artifacts: dict[int, Any],
    consumers: dict[int, set[int]],
    made: dict[int, list[int]],
) -> tuple[str, ...]:
    outputs = (
        artifacts[number]
        for execution in sorted(consumers.get(model, ()))
        for number in made.get(execution, ())
    )
    return tuple(
        output.custom_properties["pushed_destination"].string_value
        for output in outputs
        if output.type == "PushedModel" and "pushed_destination" in output.custom_properties
    )


def mark_deleted(config: PipelineConfig, numbers: list[int]) -> None:
    """Says in ML Metadata that artifacts are no more, so that nothing is made from them."""
    if not numbers:
        return
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    from pipeline.runs import lineage

    store = lineage.open_store(config, mlmd.SqliteMetadataSourceConfig.READWRITE)
    lineage.mark_deleted(store, store.get_artifacts_by_id(numbers))
