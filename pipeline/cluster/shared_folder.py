"""What file system a folder is on."""

import os
from pathlib import Path
from typing import Final

from components.errors import InputError
from pipeline.config import PipelineConfig

_SHARED: Final = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "9p", "afs", "panfs",
     "orangefs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.juicefs"}
)  # fmt: skip


def refuse_sqlite(config: PipelineConfig, mounts: str | None = None) -> None:
    """Refuses to keep ML Metadata in a SQLite file on a shared file system.

    Args:
      config: the settings of the run.
      mounts: as /proc/self/mounts has them; None reads that.

    Raises:
      InputError: it would be kept there.
    """
    if config.metadata is not None:
        return
    kind = file_system(config.output_root, mounts or Path("/proc/self/mounts").read_text())
    if kind in _SHARED:
        raise InputError(
            f"{config.output_root} is on a shared file system ({kind}), where SQLite's locks do"
            " not hold and runs would damage one another's records; name a database server in"
            " the table [metadata] (docs/cluster.md)."
        )


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that a folder is on, or would be made on."""
    places = {}
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split()
        places[place.encode().decode("unicode_escape")] = kind  # spaces are \\040
    real = os.path.realpath(folder)
    inside = [p for p in places if os.path.commonpath([p, real]) == p]
    return places[max(inside, key=len)]
