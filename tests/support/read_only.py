"""A folder as a backup that is mounted somewhere else, and read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path, place: Path) -> Iterator[Path]:
    """Mounts a folder at another place, where nobody can write."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place.mkdir()
    subprocess.run(["mount", "--bind", str(folder), str(place)], check=True)  # noqa: S603, S607 (the system's own command)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)  # noqa: S603, S607
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S603, S607
