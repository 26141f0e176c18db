"""Fetches the tranches named in a TOML file into a data root.

The file names, for each tranche, the images and the label table, and what
their SHA-256 has to be:

    [[tranche]]
    name = "1"
    images = "https://example.org/persons-posture-tranch1.zip"
    images_sha256 = "..."
    labels = "tables/tranch1_labels.csv"  # relative to the TOML file
    labels_sha256 = "..."
"""

import hashlib
import json
import shutil
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from components.errors import InputError
from components.ingest import layout

_CHUNK: Final = 2**14  # what a break may lose, at most
_HEAD: Final = 64  # bytes that tell a web page
_MAX_BYTES: Final = 500 * 2**30  # no tranche is as large; an answer without an end is
_RETRIED_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_RETRY_AFTER: Final = 60.0

# Called with the file's name, bytes done, and bytes in all (None if not known).
Advance = Callable[[str, int, int | None], None]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Digest = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[0-9A-Fa-f]{64}$")
]


class Source(BaseModel):
    """One `[[tranche]]` of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Becomes part of file names: a number and nothing else.
    name: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}$")]
    images: Text
    images_sha256: Digest
    labels: Text
    labels_sha256: Digest


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tranche: Annotated[list[Source], Field(min_length=1)]


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
      connect_seconds: for a connection.
      read_seconds: for the next bytes of an answer.
      attempts: tries in a row that bring nothing new before giving up.
      backoff_seconds: pause after the first of them; doubles with each.
      window_seconds: for which the pace of an answer is looked at.
      least_pace: bytes a second, over such a window, less than which is given up.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    attempts: int = 5
    backoff_seconds: float = 1.0
    window_seconds: float = 60.0
    least_pace: float = 1024.0  # two weeks for a gigabyte


class _Retry(Exception):
    """The server may do better next time."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def read_spec(spec: Path) -> list[Source]:
    """Reads which tranches there are, and where.

    Raises:
      InputError: the file cannot be read, a key is missing or unknown, a value is
        not allowed, or two tranches share a name.
    """
    try:
        content = tomllib.loads(spec.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{spec} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # TOML or UTF-8
        raise InputError(f"{spec} is not a TOML file: {error}.") from error
    try:
        sources = _Spec.model_validate(content).tranche
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        raise InputError(
            f"{spec}: {where}: {first['msg']}; a [[tranche]] has name (a number in quotes),"
            " images, images_sha256, labels and labels_sha256."
        ) from error
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{spec} has tranche {name} twice; number them apart.")
    return sources


def download(
    spec: Path,
    destination: Path,
    advance: Advance | None = None,
    patience: Patience | None = None,
) -> dict[Path, bool]:
    """Fetches every file of a spec that is not there yet.

    A file that breaks off goes on where it was, also in a later call, if the
    server can do that. A file takes its name only when its SHA-256 is right.

    Args:
      spec: the TOML file. Relative paths in it are relative to its folder.
      destination: the data root, as `layout.discover` reads it.
      advance: is told how far each file is.
      patience: how long to wait for a server.

    Returns:
      The files, and whether each was fetched (False: it was there).

    Raises:
      InputError: the spec is wrong, a file cannot be fetched, is not what its
        SHA-256 says, or would replace a file that has another content.
    """
    fetched: dict[Path, bool] = {}
    sources = read_spec(spec)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with requests.Session() as session:
            for source in sources:
                for location, digest, name in (
                    (source.labels, source.labels_sha256, layout.labels_name(source.name)),
                    (source.images, source.images_sha256, layout.zip_name(source.name)),
                ):
                    file = _File(location, digest, destination / name, advance)
                    fetched[file.target] = file.fetch(spec.parent, session, patience or Patience())
    except OSError as error:
        raise InputError(
            f"{error.filename or destination} cannot be written: {error.strerror or error}."
        ) from error
    return fetched


@dataclass(frozen=True)
class _File:
    """One file to fetch. Beside the target stand `.part` and what is known of its source."""

    location: str
    digest: str
    target: Path
    advance: Advance | None

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def source_note(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def fetch(self, folder: Path, session: requests.Session, patience: Patience) -> bool:
        if self.target.exists():
            if _sha256(self.target) == self.digest:
                return False
            raise InputError(
                f"{self.target} is there with another content than the SHA-256 given for it;"
                " move it away to fetch it, or correct the SHA-256."
            )
        while True:
            pieced = False
            if _is_url(self.location):
                pieced = self._fetch_url(session, patience)
            else:
                self._copy(folder / self.location)
            found = _sha256(self.part)
            if found == self.digest:
                self.part.replace(self.target)
                self.source_note.unlink(missing_ok=True)
                return True
            self._forget()
            # Pieces of two versions of a file fit nobody's SHA-256: once more, in one piece.
            if not pieced or patience.attempts == 1:
                break
            patience = replace(patience, attempts=1)
        raise InputError(
            f"{_shown(self.location)} has the SHA-256 {found}, not {self.digest} as given;"
            " the file has changed or was damaged on its way: correct the SHA-256 or the file."
        )

    def _copy(self, source: Path) -> None:
        if "://" in self.location:
            raise InputError(
                f"{_shown(self.location)} is neither an http(s) address nor a path;"
                " fetch it yourself and give its path."
            )
        try:
            total = source.stat().st_size
            with source.open("rb") as reader:
                self._need_room(total)
                with self.part.open("wb") as writer:
                    while chunk := reader.read(_CHUNK):
                        writer.write(chunk)
                        self._tell(writer.tell(), total)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise InputError(f"{source} cannot be read: {error.strerror}.") from error

    def _fetch_url(self, session: requests.Session, patience: Patience) -> bool:
        """Fills the `.part` file, trying again as long as that brings something new.

        Returns:
          True if it was put together from more than one answer.
        """
        longest = self._length()
        failures = 0
        while True:
            pieced = self._resumable() > 0
            try:
                self._attempt(session, patience)
                return pieced
            except _Retry as error:
                if self._length() > longest:
                    longest, failures = self._length(), 0
                failures += 1
                if failures >= patience.attempts:
                    raise InputError(
                        f"{_shown(self.location)} could not be fetched in {failures} tries:"
                        f" {error}; try again later, it goes on where it was."
                    ) from error
                time.sleep(max(patience.backoff_seconds * 2 ** (failures - 1), error.wait_seconds))

    def _attempt(self, session: requests.Session, patience: Patience) -> None:
        """Asks for what is missing, once.

        Raises:
          _Retry: it broke off, or the server is in trouble.
          InputError: trying again would not help.
        """
        headers = {"Accept-Encoding": "identity"}
        offset = self._resumable()
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if validator := json.loads(self.source_note.read_text())["validator"]:
                headers["If-Range"] = validator
        try:
            with session.get(
                self.location,
                headers=headers,
                stream=True,
                timeout=(patience.connect_seconds, patience.read_seconds),
            ) as answer:
                self._receive(answer, offset, patience)
        except (
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            requests.exceptions.MissingSchema,
            requests.exceptions.TooManyRedirects,
            requests.exceptions.SSLError,
        ) as error:
            raise InputError(
                f"{_shown(self.location)} cannot be fetched: {_reason(error)}; check the address."
            ) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _Retry(_reason(error)) from error

    def _receive(self, answer: requests.Response, offset: int, patience: Patience) -> None:
        """Checks the answer's head and writes its body to the `.part` file."""
        if answer.status_code in _RETRIED_STATUS:
            raise _Retry(f"the server answers {answer.status_code}", _retry_after(answer))
        if answer.status_code == 416:  # nothing follows what is there
            if answer.headers.get("Content-Range") == f"bytes */{offset}":
                return
            self._forget()
            raise _Retry("the server's file is shorter than what was there of it")
        if answer.status_code not in (200, 206):
            raise InputError(
                f"{_shown(self.location)} cannot be fetched: the server answers"
                f" {answer.status_code} {answer.reason}; check the address and your access."
            )
        if "html" in answer.headers.get("Content-Type", "").lower():
            raise self._web_page()
        start, total = _extent(answer)
        if start != (offset if answer.status_code == 206 else 0):
            self._forget()
            raise _Retry("the server sent another range than the one asked for")
        if total is not None:
            self._need_room(total - start)
        self._note(answer)
        began, before, head = time.monotonic(), start, b""
        with self.part.open("r+b" if start else "wb") as writer:
            writer.seek(start)
            # Whatever has come, however little: who waits for more has no clock.
            while chunk := answer.raw.read1(_CHUNK, decode_content=True):
                if writer.tell() == len(head) < _HEAD:
                    head += chunk
                    if _looks_like_html(head):
                        raise self._web_page()
                writer.write(chunk)
                seconds = time.monotonic() - began
                if seconds > patience.window_seconds:
                    if writer.tell() - before < patience.least_pace * seconds:
                        raise InputError(
                            f"{_shown(self.location)} comes too slowly, {writer.tell() - before:,}"
                            f" bytes in {seconds:.0f} seconds; try again later, it goes on where"
                            " it was."
                        )
                    began, before = time.monotonic(), writer.tell()
                if writer.tell() > (_MAX_BYTES if total is None else total):
                    self._forget()
                    raise InputError(f"{_shown(self.location)} sends more than the file's size.")
                self._tell(writer.tell(), total)
            received = writer.tell()
        if total is not None and received < total:
            raise _Retry(f"it broke off after {received:,} of {total:,} bytes")

    def _web_page(self) -> InputError:
        self._forget()
        return InputError(
            f"{_shown(self.location)} answers with a web page instead of the file;"
            " check the address, and whether it needs a login."
        )

    def _resumable(self) -> int:
        """Returns how many bytes of the file are there, 0 to start anew."""
        try:
            note = json.loads(self.source_note.read_text())
            if note["sha256"] == self.digest:
                return self._length()
        except (OSError, ValueError, TypeError, KeyError):  # none, or cut short
            return 0
        return 0

    def _note(self, answer: requests.Response) -> None:
        """Notes where the part comes from, unless one cannot go on with it."""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            self.source_note.unlink(missing_ok=True)  # offsets count compressed bytes
            return
        etag = answer.headers.get("ETag", "")
        # A weak tag does not promise the same bytes.
        strong = etag if not etag.startswith("W/") else ""
        note = {
            "sha256": self.digest,
            "validator": strong or answer.headers.get("Last-Modified", ""),
        }
        self.source_note.write_text(json.dumps(note))

    def _length(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.source_note.unlink(missing_ok=True)

    def _need_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise InputError(
                f"{_shown(self.location)} needs {needed:,} bytes, but {self.target.parent} has"
                f" room for {free:,}; make room or choose another data root."
            )

    def _tell(self, done: int, total: int | None) -> None:
        if self.advance:
            self.advance(self.target.name, done, total)


def _is_url(location: str) -> bool:
    return location.lower().startswith(("http://", "https://"))


def _shown(location: str) -> str:
    """Returns a location fit for a message: without password and signed query."""
    if not _is_url(location):
        return location
    try:
        parts = urlsplit(location)
    except ValueError:
        return "The address"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _reason(error: Exception) -> str:
    """Names a network error in a few words; requests' own texts hold the whole address."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "it redirects in a circle"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke off"
    return "the address cannot be used"


def _extent(answer: requests.Response) -> tuple[int, int | None]:
    """Returns where an answer's bytes start in the file, and the file's size if stated."""
    if answer.status_code == 206:
        unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
        span, _, size = rest.partition("/")
        start = span.partition("-")[0]
        if unit != "bytes" or not start.isdecimal():
            return -1, None
        return int(start), int(size) if size.isdecimal() else None
    length = answer.headers.get("Content-Length", "")
    encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
    return 0, int(length) if length.isdecimal() and not encoded else None


def _retry_after(answer: requests.Response) -> float:
    wait = answer.headers.get("Retry-After", "")
    return min(float(wait), _MAX_RETRY_AFTER) if wait.isdecimal() else 0.0


def _looks_like_html(chunk: bytes) -> bool:
    return chunk[:_HEAD].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
