"""The folder of numbered versions that a server reads; a version is whole or not there."""

import shutil
import time
from pathlib import Path

from components import files


def push(model: Path, base: Path) -> Path:
    """Puts a model into a folder of versions, in one step.

    It is copied beside them, brought to disk, and only then given its number: the time
    in seconds since 1970, or the highest version and one if that is more, so that a clock
    that was set back does not leave an older model in service. What an earlier push left
    unfinished goes away.

    Args:
      model: a SavedModel.
      base: the folder of versions; made if it is not there. One push at a time.

    Returns:
      The new version's folder.
    """
    incoming = files.begin(base)
    shutil.copytree(model, incoming, dirs_exist_ok=True)
    versions = [int(path.name) for path in base.iterdir() if path.name.isdecimal()]
    version = base / str(max([int(time.time()), *(number + 1 for number in versions)]))
    files.publish(incoming, version)
    return version
