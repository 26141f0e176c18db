"""The folder of numbered versions that a server reads; a version is whole or not there."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from components import files

# The folder that the SavedModel format leaves to others.
EXTRA: Final = "assets.extra"
_RECORD: Final = "pushed.json"
_MODEL: Final = "saved_model.pb"


class Origin(BaseModel):
    """Which model a version is; it is kept inside the version, and moves with it.

    Attributes:
      run_id: the run that pushed it.
      model_id: its number in ML Metadata.
      model_created: when the Trainer had made it, milliseconds since 1970. A new database
        numbers its models from the start again; with the time, no two are the same.
    """

    run_id: str
    model_id: int
    model_created: int


@dataclass(frozen=True)
class Version:
    """A pushed model.

    Attributes:
      number: the name of its folder; a server reads the highest.
      folder: the SavedModel.
      origin: which model it is; None if somebody else put it there.
    """

    number: int
    folder: Path
    origin: Origin | None

    def holds(self, model_id: int, model_created: int) -> bool:
        """Whether it is that model; see `Origin`."""
        origin = self.origin
        return origin is not None and (origin.model_id, origin.model_created) == (
            model_id,
            model_created,
        )


def versions(base: Path) -> tuple[Version, ...]:
    """The versions that a server could load.

    Args:
      base: the folder of versions; it may be missing.

    Returns:
      Oldest first; the last is the one in service.
    """
    folders = [path.parent for path in base.glob(f"*/{_MODEL}") if path.parent.name.isdecimal()]
    return tuple(
        Version(int(folder.name), folder, _origin(folder))
        for folder in sorted(folders, key=lambda folder: int(folder.name))
    )


def push(model: Path, base: Path, origin: Origin) -> Version:
    """Puts a model into a folder of versions, in one step.

    It is copied beside them, brought to disk, and only then given its number: the time
    in seconds since 1970, or the highest version plus one if that is more, so that a clock
    that was set back does not leave an older model in service. What an earlier push left
    unfinished goes away.

    Args:
      model: a SavedModel.
      base: the folder of versions; made if it is not there. One push at a time.
      origin: which model it is.

    Returns:
      The new version.
    """
    incoming = files.begin(base)
    shutil.copytree(model, incoming, dirs_exist_ok=True)
    (incoming / EXTRA).mkdir(exist_ok=True)
    (incoming / EXTRA / _RECORD).write_text(origin.model_dump_json(indent=2), encoding="utf-8")
    taken = [int(path.name) for path in base.iterdir() if path.name.isdecimal()]
    number = max([int(time.time()), *(number + 1 for number in taken)])
    folder = base / str(number)
    files.publish(incoming, folder)
    return Version(number, folder, origin)


def _origin(folder: Path) -> Origin | None:
    try:
        return Origin.model_validate_json((folder / EXTRA / _RECORD).read_bytes())
    except FileNotFoundError:
        return None
