"""Files and folders that are whole or not there, and that only their owner can read."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

# No name of a finished folder; model servers look for numbers only (TensorFlow Serving's file
# system source).
INCOMING: Final = ".incoming"


@contextmanager
def owner_only() -> Iterator[None]:
    """Makes files and folders that only their owner can read: they come from patients' images."""
    former = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(former)


@contextmanager
def replacing(path: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Opens a new file that takes the place of `path` once it is written and on disk.

    A reader sees the old file or the new one, never a part. If the block raises, the old file
    stays.

    Args:
      path: the file; its folder exists.
      mode: `w` or `wb`.
      **options: as `open` takes them; text is UTF-8 unless they say otherwise.

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
    """Makes an empty folder to write into, and removes one that an earlier writer left unfinished.

    Args:
      parent: where the finished folder will be; made if it is not there. One writer at a time.
    """
    incoming = parent / INCOMING
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir(parents=True)
    return incoming


def publish(incoming: Path, place: Path) -> None:
    """Brings a written folder to disk, then gives it its name in one step.

    Args:
      incoming: from `begin`.
      place: its name; nothing may be there.
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
