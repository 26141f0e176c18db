"""tf.Examples of plain values, the files of their splits, and artifacts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tfx.types import Artifact, standard_artifacts

Row = Mapping[str, str | bytes | int | float]

_KINDS = {bytes: "bytes_list", int: "int64_list", float: "float_list"}


def serialized(row: Row) -> bytes:
    """A tf.Example with one value in each column."""
    example = tf.train.Example()
    for name, value in row.items():
        plain = value.encode() if isinstance(value, str) else value
        getattr(example.features.feature[name], _KINDS[type(plain)]).value.append(plain)
    return example.SerializeToString()


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Writes rows as a gzipped TFRecord file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows:
            writer.write(serialized(row))
    return path


def write_split(folder: Path, split: str, rows: Sequence[Row], files: int = 1) -> Path:
    """Writes rows as a split's gzipped TFRecords; returns the split's folder."""
    place = folder / f"Split-{split}"
    for part in range(files):
        some = rows[part * len(rows) // files : (part + 1) * len(rows) // files]
        write(place / f"data-{part}.gz", some)
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
