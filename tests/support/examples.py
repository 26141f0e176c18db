"""tf.Examples of plain values, the files of their splits, and artifacts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.types import Artifact, standard_artifacts

_KINDS = {bytes: "bytes_list", int: "int64_list", float: "float_list"}


def serialized(row: Mapping[str, bytes | int | float]) -> bytes:
    """A tf.Example with one value in each column."""
    example = tf.train.Example()
    for name, value in row.items():
        getattr(example.features.feature[name], _KINDS[type(value)]).value.append(value)
    return example.SerializeToString()


def write_split(
    folder: Path, split: str, rows: Sequence[Mapping[str, Any]], files: int = 1
) -> Path:
    """Writes rows as a split's gzipped TFRecords; returns the split's folder."""
    place = folder / f"Split-{split}"
    place.mkdir(parents=True)
    for part in range(files):
        with tf.io.TFRecordWriter(str(place / f"data-{part}.gz"), "GZIP") as writer:
            for row in rows[part * len(rows) // files : (part + 1) * len(rows) // files]:
                writer.write(serialized(row))
    return place


def artifact(kind: type[Artifact], folder: Path, *splits: str) -> Artifact:
    """An artifact as TFX hands it to an executor."""
    made = kind()
    made.uri = str(folder)
    if splits:
        made.split_names = json.dumps(splits)
    if kind is standard_artifacts.Model:
        made.set_string_custom_property("tfx_version", "1.16.0")
    return made
