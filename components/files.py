"""Writes files and folders completely or not at all, readable by their owner only."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

# Never the name of a finished folder: model servers look for numbers (TensorFlow Serving's
# file system source).
INCOMING: Final = ".incoming"


@contextmanager
def owner_only() -> Iterator[None]:
    """Creates files and folders for their owner only: they come from patients' images."""
    former = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(former)


@contextmanager
def replacing(path: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Opens a new file that replaces `path` once it is written and on disk.

    A reader sees the old file or the new one, never a part. If the block raises, the old file
    is kept.

    Args:
      path: the file; its folder exists.
      mode: `w` or `wb`.
      **options: of `open`; the default encoding is UTF-8.

    Yields:
      The new file.

    Raises:
      OSError: it cannot be written; there may be no space.
    """
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def begin(parent: Path) -> Path:
    """Creates an empty folder to write into; removes an unfinished one of an earlier writer.

    Args:
      parent: where the finished folder will be; created if it is missing. It may have only one
        writer at a time.
    """
    incoming = parent / INCOMING
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir(parents=True)
    return incoming


def publish(incoming: Path, place: Path) -> None:
    """Flushes a folder to disk, then renames it.

    Args:
      incoming: the folder that `begin` created, or one inside it.
      place: its new path, where nothing exists.
    """
    for folder, _, files in os.walk(incoming):
        for name in (*files, "."):
            _to_disk(Path(folder, name))
    incoming.rename(place)
    _to_disk(place.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
