"""The folder of numbered versions that a server reads; a version is whole or not there."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from components import files

# The folder that the SavedModel format leaves to others.
EXTRA: Final = "assets.extra"
_RECORD: Final = "pushed.json"
_GRAPH: Final = "saved_model.pb"
_INDEX: Final = "variables/variables.index"
_SHARDS: Final = "variables/variables.data-*-of-*"
_LARGEST: Final = 2**63 - 1  # TensorFlow Serving reads a version as a signed 64-bit integer


class Origin(BaseModel):
    """Which model a version is; it is kept inside the version, and moves with it.

    Attributes:
      run_id: the run that pushed it.
      model_id: its number in ML Metadata.
      model_created: when the Trainer had made it, milliseconds since 1970. A new database
        numbers its models from the start again; with the time, no two are the same.
      files: sizes of the model's files in bytes, by path; a version that lacks one is no model.
    """

    run_id: str
    model_id: int
    model_created: int
    files: dict[str, int] = {}


@dataclass(frozen=True)
class Version:
    """What a server takes for a version: a file or folder with a number for its name.

    Attributes:
      number: its name; a server reads the highest.
      folder: the SavedModel.
      origin: which model it is; None if somebody else put it there.
      damage: why no server can load it, half a sentence; empty if it is whole.
    """

    number: int
    folder: Path
    origin: Origin | None
    damage: str = ""

    def holds(self, model_id: int, model_created: int) -> bool:
        """Whether it is that model, whole; see `Origin`."""
        origin = self.origin
        return (
            not self.damage
            and origin is not None
            and (origin.model_id, origin.model_created) == (model_id, model_created)
        )


def versions(base: Path) -> tuple[Version, ...]:
    """The versions that a server finds, whole or not.

    Args:
      base: the folder of versions; it may be missing.

    Returns:
      Oldest first. The last is the one in service, if it is whole.
    """
    found = {number: path for path in base.glob("*") if (number := _number(path.name)) is not None}
    return tuple(_version(number, found[number]) for number in sorted(found))


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
    origin = origin.model_copy(update={"files": _sizes(incoming)})
    (incoming / EXTRA).mkdir(exist_ok=True)
    (incoming / EXTRA / _RECORD).write_text(origin.model_dump_json(indent=2), encoding="utf-8")
    number = max([int(time.time()), *(version.number + 1 for version in versions(base))])
    folder = base / str(number)
    files.publish(incoming, folder)
    return Version(number, folder, origin)


def _number(name: str) -> int | None:
    """The version that a server reads from a name; None if it is no version."""
    is_number = name.isascii() and name.isdecimal() and int(name) <= _LARGEST
    return int(name) if is_number else None


def _version(number: int, folder: Path) -> Version:
    try:
        origin = Origin.model_validate_json((folder / EXTRA / _RECORD).read_bytes())
    except (OSError, ValidationError):  # somebody else's, or not even a folder
        origin = None
    return Version(number, folder, origin, _damage(folder, origin.files if origin else {}))


def _damage(folder: Path, pushed: dict[str, int]) -> str:
    """Says in half a sentence what is wrong with a SavedModel; empty if nothing is.

    Args:
      folder: its folder.
      pushed: the files it was pushed with, see `Origin`; empty if nobody wrote them down.
    """
    sizes = _sizes(folder)
    for name, size in pushed.items():
        if sizes.get(name) != size:
            return f"its file {name} has {sizes.get(name, 0):,} bytes instead of {size:,}"
    for name in (_GRAPH, _INDEX):
        if not pushed and not sizes.get(name):
            return f"its file {name} is missing or empty"
    shards = [path.name for path in folder.glob(_SHARDS)]
    if any(len(shards) != int(name.rpartition("-")[2]) for name in shards):
        return "some of its variables' files are missing"
    return ""


def _sizes(folder: Path) -> dict[str, int]:
    """The sizes of the files of a folder in bytes, by path inside it."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
