"""Folders that are whole or not there, whenever the power goes."""

import os
import shutil
from pathlib import Path
from typing import Final

# No name of a finished folder; model servers look for numbers only (TensorFlow Serving's file
# system source).
INCOMING: Final = ".incoming"


def begin(parent: Path) -> Path:
    """Makes an empty folder to write into, in place of what was left unfinished before.

    Args:
      parent: where the finished folder will be; made if it is not there. One writer at a time.
    """
    incoming = parent / INCOMING
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir(parents=True)
    return incoming


def publish(incoming: Path, place: Path) -> None:
    """Brings a written folder to disk, and then gives it its name, in one step.

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
