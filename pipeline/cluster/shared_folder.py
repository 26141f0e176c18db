"""What an output folder for jobs must be: writable, and on a file system that can hold it."""

import os
import tempfile
from pathlib import Path
from typing import Final

from components.errors import InputError
from pipeline.config import PipelineConfig

_SHARED: Final = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "9p", "afs", "panfs",
     "orangefs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.juicefs"}
)  # fmt: skip


def check_writable(folder: Path) -> None:
    """Checks that a folder can be made and written, and leaves nothing.

    Raises:
      InputError: it cannot.
    """
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryDirectory(dir=nearest):
            pass
    except OSError as error:
        raise InputError(
            f"The output folder {folder} cannot be written: {error.strerror}."
        ) from error


def refuse_sqlite(config: PipelineConfig, mounts: str | None = None) -> None:
    """Refuses to keep ML Metadata in a SQLite file on a shared file system.

    Args:
      config: the settings of the run.
      mounts: the mounts in the format of /proc/self/mounts; None reads that file.

    Raises:
      InputError: the output folder is on one, and no server is named.
    """
    if config.metadata is not None:
        return
    kind = file_system(config.output_root, mounts or Path("/proc/self/mounts").read_text())
    if kind in _SHARED:
        raise InputError(
            f"{config.output_root} is on a shared file system ({kind}), where SQLite's locks do"
            " not work and runs would damage each other's records; name a database server in"
            " the table [metadata] (docs/cluster.md)."
        )


def file_system(folder: Path, mounts: str) -> str:
    """Returns the type of the file system that holds a folder, or will once it is made."""
    places = {}
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split()
        places[place.encode().decode("unicode_escape")] = kind  # spaces are \\040
    real = os.path.realpath(folder)
    inside = [p for p in places if os.path.commonpath([p, real]) == p]
    return places[max(inside, key=len)]
