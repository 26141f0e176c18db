"""Folders that are whole or not there, whenever the power goes."""

import os
from pathlib import Path


def publish(incoming: Path, place: Path) -> None:
    """Brings a written folder to disk, and then gives it its name, in one step.

    Args:
      incoming: the folder, in the same file system.
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
