"""The folder of numbered versions that a server reads; a version is whole or not there."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components import files
from components.training import model_run

# The folder that the SavedModel format leaves to others.
EXTRA: Final = "assets.extra"
_RECORD: Final = "pushed.json"
_GRAPH: Final = "saved_model.pb"
_INDEX: Final = "variables/variables.index"
_SHARDS: Final = "variables/variables.data-*-of-*"
_LARGEST: Final = 2**63 - 1  # TensorFlow Serving reads a version as a signed 64-bit integer


# A model's number in ML Metadata, and when the Trainer had made it, milliseconds since 1970. A new
# database numbers its models from the start again; with the time, no two are the same.
ModelKey = tuple[int, int]


SignOffKind = Literal["approved", "rejected", "rolled_back"]


class SignOff(BaseModel):
    """What a person decided about a model.

    Attributes:
      kind: what was decided.
      by: who did.
      reason: why, in their words.
      time: when, milliseconds since 1970; ML Metadata rounds other numbers.
      run_id: the run whose model it is about; of a rollback, the model that went back.
      model_id: the model's number in ML Metadata.
      model_created: see `ModelKey`.
      plan: SHA-256 of the acceptance plan that the model was judged by; empty if there was none.
      version: what the model was put into service as; None if it was not.
      withdrawn_version: of a rollback, what was in service until then.
      withdrawn_id: number of the model which that was; None if nobody knows.
      withdrawn_created: see `ModelKey`.
    """

    model_config = ConfigDict(frozen=True)

    kind: SignOffKind
    by: str
    reason: str
    time: int
    run_id: str
    model_id: int
    model_created: int
    plan: str = ""
    version: int | None = None
    withdrawn_version: int | None = None
    withdrawn_id: int | None = None
    withdrawn_created: int | None = None

    @property
    def id(self) -> str:
        """Tells it from all others."""
        return f"{self.run_id}/{self.kind}/{self.time}"

    @property
    def withdrawn_model(self) -> ModelKey | None:
        """The model that a rollback took out of service, if anybody knows which."""
        if self.withdrawn_id is None or self.withdrawn_created is None:
            return None
        return self.withdrawn_id, self.withdrawn_created


class Origin(BaseModel):
    """Which model a version is; it is kept inside the version, and moves with it.

    Attributes:
      run_id: the run that trained it or took it from the cache, and passed it for service.
      model_id: its number in ML Metadata.
      model_created: when the Trainer had made it, milliseconds since 1970.
      files: sizes of the model's files in bytes, by path; a version that lacks one is no model.
      sign_off: the decision that put it into service; None if no person had to decide.
    """

    run_id: str
    model_id: int
    model_created: int
    files: dict[str, int] = {}
    sign_off: SignOff | None = None

    @property
    def key(self) -> ModelKey:
        """Which model it is."""
        return self.model_id, self.model_created


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

    @property
    def id(self) -> str:
        """What its answers are signed with: RUN/VERSION; VERSION if somebody else put it there."""
        return f"{self.origin.run_id}/{self.number}" if self.origin else str(self.number)

    @property
    def sign_off(self) -> SignOff | None:
        """The decision that put it into service, if a person's was needed."""
        return self.origin.sign_off if self.origin else None

    def holds(self, model_id: int, model_created: int) -> bool:
        """Whether it is that model, whole; see `Origin`."""
        origin = self.origin
        return not self.damage and origin is not None and origin.key == (model_id, model_created)


def versions(base: Path) -> tuple[Version, ...]:
    """The versions that a server finds, whole or not.

    Args:
      base: the folder of versions; it may be missing.

    Returns:
      Oldest first. The last is the one in service, if it is whole.
    """
    found = {number: path for path in base.glob("*") if (number := _number(path.name)) is not None}
    return tuple(_version(number, found[number]) for number in sorted(found))


def withdrawn(found: Sequence[Version]) -> set[ModelKey]:
    """The models that a person took out of service, and nobody put back.

    Args:
      found: all versions, oldest first, damaged ones as well.
    """
    models = set[ModelKey]()
    for version in found:
        if version.origin:
            models.discard(version.origin.key)
        if version.sign_off and version.sign_off.withdrawn_model:
            models.add(version.sign_off.withdrawn_model)
    return models


def comparable(found: Sequence[Version], candidate: ModelKey | None) -> Iterator[Version]:
    """What a candidate may be compared with, the newest first: it replaces the first of them.

    Args:
      found: all versions, oldest first.
      candidate: is not compared with itself, where it is in service already; None for one of
        which nothing is known.

    Yields:
      Whole versions of other models that nobody has withdrawn.
    """
    left_out = {candidate, *withdrawn(found)}
    for version in reversed(found):
        if version.origin and not version.damage and version.origin.key not in left_out:
            yield version


def push(model: Path, base: Path, origin: Origin) -> Version:
    """Puts a model into a folder of versions, in one step.

    It is copied beside them, signed, brought to disk, and only then given its number: the time
    in seconds since 1970, or the highest version plus one if that is more, so that a clock
    that was set back does not leave an older model in service. What an earlier push left
    unfinished goes away.

    Args:
      model: a SavedModel, or a version.
      base: the folder of versions; made if it is not there. One push at a time.
      origin: which model it is.

    Returns:
      The new version.
    """
    number = max([int(time.time()), *(version.number + 1 for version in versions(base))])
    pushed = Version(number, base / str(number), origin)
    incoming = files.begin(base)
    shutil.copytree(model, incoming, dirs_exist_ok=True)
    identity, record = incoming / model_run.IDENTITY, incoming / EXTRA / _RECORD
    if identity.exists():  # models that were exported before it was there do not sign
        identity.write_text(pushed.id, encoding="utf-8")
    sizes = _sizes(incoming).items()
    of_model = {name: size for name, size in sizes if not name.startswith(f"{EXTRA}/")}
    sign_off = origin.sign_off and origin.sign_off.model_copy(update={"version": number})
    origin = origin.model_copy(update={"files": of_model, "sign_off": sign_off})
    record.parent.mkdir(exist_ok=True)
    record.write_text(origin.model_dump_json(indent=2), encoding="utf-8")
    files.publish(incoming, pushed.folder)
    return replace(pushed, origin=origin)


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
