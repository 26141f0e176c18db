"""Fetches the tranches named in a TOML file into a data root.

For each tranche, the file gives the images and the label table, and their SHA-256:

    [[tranche]]
    name = "1"
    images = "https://example.org/persons-posture-tranch1.zip"
    images_sha256 = "..."
    labels = "tables/tranch1_labels.csv"  # relative to the TOML file
    labels_sha256 = "..."

Nothing that a server says is trusted, and little of it is checked: a file counts only if its
SHA-256 is right.
"""

import hashlib
import shutil
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry

from components import first_bytes
from components.errors import InputError
from components.ingest import layout

_TIMEOUT: Final = (10.0, 30.0)  # seconds for a connection, and for the next bytes
_RETRY: Final = Retry(
    total=4,
    backoff_factor=1,
    status_forcelist=(408, 425, 429, 500, 502, 503, 504),
    raise_on_status=False,  # the last answer tells more
    retry_after_max=60,
)
_CHUNK: Final = 2**14  # bytes

# Called with the file's name, bytes done, and bytes in all (None if not known).
Advance = Callable[[str, int, int | None], None]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Digest = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[0-9A-Fa-f]{64}$")
]


class Download(BaseModel):
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

    tranche: Annotated[list[Download], Field(min_length=1)]


def read_spec(spec: Path) -> list[Download]:
    """Reads which tranches there are, and where.

    Raises:
      InputError: the file cannot be read, a key is missing or unknown, a value is
        not allowed, or two tranches share a name.
    """
    try:
        content = tomllib.loads(first_bytes.read_text(spec))
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
            raise InputError(f"{spec} names tranche {name} twice; give each its own number.")
    return sources


def download(spec: Path, destination: Path, advance: Advance | None = None) -> dict[Path, bool]:
    """Fetches all files of a spec that are not there yet.

    If a connection breaks, the download continues where it was, also in a later call, provided
    that the server supports ranges. A file gets its name once its SHA-256 is right.

    Args:
      spec: the TOML file. Relative paths in it are relative to its folder.
      destination: the data root, as `layout.discover` reads it.
      advance: is told how far each file is.

    Returns:
      The files, and whether each was fetched (False: it was there).

    Raises:
      InputError: the spec is wrong; a file cannot be fetched or does not have its SHA-256; or a
        file of the same name has another content.
    """
    fetched: dict[Path, bool] = {}
    sources = read_spec(spec)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
            for source in sources:
                for location, digest, name in (
                    (source.labels, source.labels_sha256, layout.labels_name(source.name)),
                    (source.images, source.images_sha256, layout.zip_name(source.name)),
                ):
                    file = _File(location, digest, destination / name, advance)
                    fetched[file.target] = file.fetch(spec.parent, session)
    except OSError as error:
        raise InputError(
            f"{error.filename or destination} cannot be written: {error.strerror or error}."
        ) from error
    return fetched


@dataclass(frozen=True)
class _File:
    """One file to fetch."""

    location: str
    digest: str
    target: Path
    advance: Advance | None

    @property
    def part(self) -> Path:
        """What is there so far; the digest in its name keeps it apart from other files' parts."""
        return self.target.with_name(f"{self.target.name}.{self.digest[:16]}.part")

    def fetch(self, folder: Path, session: requests.Session) -> bool:
        if self.target.exists():
            if _sha256(self.target) == self.digest:
                return False
            raise InputError(
                f"{self.target} is there with another content than the SHA-256 given for it;"
                " move it away to fetch it, or correct the SHA-256."
            )
        for other in self.target.parent.glob(f"{self.target.name}.*.part"):
            if other != self.part:
                other.unlink()
        while True:
            in_pieces = False
            if _is_url(self.location):
                in_pieces = self._fetch_url(session)
            else:
                self._copy(folder / self.location)
            found = _sha256(self.part)
            if found == self.digest:
                self.part.replace(self.target)
                return True
            what = first_bytes.kind_of(self.part)
            is_what = f"; it is {what}" if what not in ("", first_bytes.ZIP) else ""
            self.part.unlink()
            # Pieces of two versions of a file do not fit: once more, from the start.
            if not in_pieces:
                raise InputError(
                    f"{_shown(self.location)} has the SHA-256 {found}, not {self.digest} as given"
                    f"{is_what}; the file has changed or was damaged on its way: correct the"
                    " SHA-256 or the file."
                )

    def _copy(self, source: Path) -> None:
        if "://" in self.location:
            raise InputError(
                f"{_shown(self.location)} is neither an http(s) address nor a path;"
                " fetch it yourself and give its path."
            )
        try:
            with source.open("rb") as reader:
                self._write(iter(lambda: reader.read(_CHUNK), b""), 0, source.stat().st_size)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise InputError(f"{source} cannot be read: {error.strerror}.") from error

    def _fetch_url(self, session: requests.Session) -> bool:
        """Fetches what is missing, as long as each try brings something new.

        Returns:
          True if the file was put together from more than one answer.
        """
        retry, in_pieces = _RETRY, False
        while True:
            start = self._length()
            in_pieces |= start > 0
            try:
                self._attempt(session, start)
                return in_pieces
            except HTTPError as error:  # the body broke off; the adapter retries everything else
                if self._length() > start:
                    retry = _RETRY
                try:
                    retry = retry.increment("GET", error=error)
                except MaxRetryError:
                    raise self._failure(error) from error
                retry.sleep()

    def _attempt(self, session: requests.Session, start: int) -> None:
        """Asks once for what is missing, and appends it.

        Raises:
          InputError: trying again would not help.
          HTTPError: the body broke off.
        """
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            answer = session.get(self.location, headers=headers, stream=True, timeout=_TIMEOUT)
        except requests.exceptions.RequestException as error:
            raise self._failure(error) from error
        with answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing; if that is wrong, the SHA-256 tells
            if answer.status_code not in (requests.codes.ok, requests.codes.partial_content):
                later = answer.status_code in _RETRY.status_forcelist
                raise InputError(
                    f"{_shown(self.location)} cannot be fetched: the server answers"
                    f" {answer.status_code} {answer.reason};"
                    f" {'try again later' if later else 'check the address and your access'}."
                )
            if answer.status_code == requests.codes.ok:
                start = 0
            length = answer.headers.get("Content-Length", "")
            total = start + int(length) if length.isdecimal() else None
            # `read1` returns what has come; with `read`, a break would lose the last chunk.
            chunks = iter(lambda: answer.raw.read1(_CHUNK, decode_content=True), b"")
            self._write(chunks, start, total)

    def _write(self, chunks: Iterable[bytes], start: int, total: int | None) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if total is not None and total - start > free:
            raise InputError(
                f"{_shown(self.location)} needs {total - start:,} bytes, but {self.target.parent}"
                f" has room for {free:,}; make room or choose another data root."
            )
        with self.part.open("ab" if start else "wb") as writer:
            for chunk in chunks:
                writer.write(chunk)
                if self.advance:
                    self.advance(self.target.name, writer.tell(), total)

    def _length(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _failure(self, error: Exception) -> InputError:
        return InputError(f"{_shown(self.location)} cannot be fetched: {_reason(error)}.")


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
    """Says what went wrong and what to do; requests' own texts contain the whole address."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted; check the address"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "it redirects in a circle; check the address"
    later = "try again later, it continues where it was"
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error):
        return f"the server did not answer in time; {later}"
    if isinstance(error, requests.exceptions.ConnectionError):
        return f"no connection; {later}"
    if isinstance(error, HTTPError):
        return f"the connection broke off; {later}"
    return "the address cannot be used; check the address"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
