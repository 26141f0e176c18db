"""Unzips a tranche's images, trusting nothing that the archive says.

The whole archive is checked before a byte is written. Its members go to a folder beside the
destination, which is renamed once it is complete. So a killed unzip is never mistaken for a
complete one, and the next call continues it.
"""

import hashlib
import json
import os
import posixpath
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final

from components.errors import DataError, InputError
from components.files import replacing
from components.first_bytes import ZIP, kind_of

# Far more than any tranche needs (20,000 images of 1 MB are 20 GB), far less than does harm.
MAX_MEMBERS: Final = 2_000_000
MAX_MEMBER_BYTES: Final = 512 * 2**20
MAX_TOTAL_BYTES: Final = 500 * 2**30
# Images hardly compress. A black BMP does, so what counts is the whole archive, if it is large.
MAX_RATIO: Final = 100
RATIO_FREE_BYTES: Final = 2**30

# Control characters, and surrogates, which stand for bytes that are not UTF-8.
UNTYPABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_CHUNK: Final = 2**20
_UTF8_NAMES: Final = 0x800
_ENCRYPTED: Final = 0x1
# zipfile bounds the memory of these two, but not of bzip2 and LZMA; it reads no other.
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# APPNOTE.TXT, section 4.4.5. Windows packs with Deflate64 what is larger than 2 GB.
_OTHER_METHODS: Final = {
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "XZ",
    98: "PPMd",
}
_REPACK: Final = (
    "unpack it, and pack the images again with `zip -r`, on Windows `tar -a -cf NEW.zip FOLDER`,"
    " or with 7-Zip and its method Deflate"
)
# What zipfile raises on a damaged archive, depending on where the damage is.
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)

# Called with bytes done and bytes in all.
Advance = Callable[[int, int], None]


def unzip(archive: Path, destination: Path, advance: Advance | None = None) -> bool:
    """Unzips an archive into a folder of its own, unless that was done before.

    Only their owner can read the files: they are patients' images. Beside the destination,
    `<destination>.unzipped.json` says what it came from.

    Args:
      archive: the zip.
      destination: the folder; replaced if it came from another archive.
      advance: is told how many bytes are done.

    Returns:
      True if it was unzipped, False if the destination was up to date.

    Raises:
      DataError: the archive is damaged or breaks a rule: names that leave the
        folder, links, devices, encryption, names that differ in case only, sizes beyond the
        limits above, a method of packing that is not read.
      InputError: the archive cannot be opened, or the disk has no room for it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked_members(archive, opened)
            marker = destination.with_name(f"{destination.name}.unzipped.json")
            identity = _identity(archive, members)
            if _is_up_to_date(destination, marker, identity):
                return False
            destination.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = _partial_folder(destination, identity)
            _extract(archive, opened, members, partial, advance)
        # In this order, so that a marker never describes another archive's files.
        marker.unlink(missing_ok=True)
        if destination.exists():
            shutil.rmtree(destination)
        partial.rename(destination)
        with replacing(marker) as file:
            file.write(json.dumps(identity, indent=1) + "\n")
    except _BROKEN as error:
        raise DataError(
            f"{archive} is {_damage(archive, error)}; fetch or pack it again."
        ) from error
    except OSError as error:
        raise InputError(
            f"{archive} cannot be unzipped to {destination}: {error.strerror or error}."
        ) from error
    return True


def sizes(archive: Path) -> list[tuple[str, int]]:
    """Returns the names, without folders, and the sizes that `unzip` would give to files.

    Raises:
      InputError: the archive cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [(_name(info), info.file_size) for info in opened.infolist()]
    except _BROKEN as error:
        raise DataError(f"{archive} is {_damage(archive, error)}.") from error
    except OSError as error:
        raise InputError(f"{archive} cannot be read: {error.strerror or error}.") from error
    return [(name.rpartition("/")[2], size) for name, size in files if not name.endswith("/")]


def _damage(archive: Path, error: Exception) -> str:
    """Says what is wrong with an archive that zipfile could not read."""
    what = kind_of(archive)
    if what not in ("", ZIP):
        return f"{what}, not a zip"
    if not zipfile.is_zipfile(archive):
        return "damaged (its end is missing, as after a download that broke off)"
    return f"damaged ({error})"


def printable(name: str) -> str:
    """Escapes what should reach no table and no terminal: control characters, bytes not UTF-8."""
    return UNTYPABLE.sub(lambda odd: odd[0].encode("unicode_escape").decode(), name)


def _checked_members(
    archive: Path, opened: zipfile.ZipFile
) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """Returns the files in the archive by path, or refuses the archive."""

    def refuse(reason: str, remedy: str = "pack the images again, and only them") -> DataError:
        return DataError(f"{archive} is refused: {reason}; {remedy}.")

    infos = opened.infolist()
    if len(infos) > MAX_MEMBERS:
        raise refuse(f"it has {len(infos):,} members, more than {MAX_MEMBERS:,}")
    members: list[tuple[PurePosixPath, zipfile.ZipInfo]] = []
    taken: set[str] = set()
    folders: set[str] = set()
    for info in infos:
        name = _name(info)
        path = PurePosixPath(posixpath.normpath(name))
        if reason := _unsafe(name, path, info):
            raise refuse(f"the member {name!r} {reason}")
        if info.compress_type not in _METHODS:
            method = _OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
            raise refuse(f"the member {name!r} is packed with {method}, which is not read", _REPACK)
        if name.endswith("/"):
            folders.add(str(path).casefold())
            continue
        key = str(path).casefold()
        if key in taken:
            raise refuse(f"two members are named {name!r}, or differ only in case")
        taken.add(key)
        folders.update(str(parent).casefold() for parent in path.parents)
        members.append((path, info))
    if clash := taken & folders:
        raise refuse(f"{min(clash)!r} is both a file and a folder")
    total = sum(info.file_size for _, info in members)
    if total > MAX_TOTAL_BYTES:
        raise refuse(f"it unzips to {total:,} bytes, more than {MAX_TOTAL_BYTES:,}")
    packed = sum(info.compress_size for _, info in members)
    if total > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
        raise refuse(f"it unzips to {MAX_RATIO} times its size, as a decompression bomb does")
    if packed > archive.stat().st_size:
        raise refuse("its members overlap, as in a decompression bomb")
    if not members:
        raise refuse("it contains no files")
    return members


def _name(info: zipfile.ZipInfo) -> str:
    """Returns a member's name, with the separators and letters that all others have.

    Some archivers write UTF-8 without setting the flag for it. Windows PowerShell and .NET write
    backslashes, macOS the decomposed form of letters (NFD).
    """
    name = info.filename
    if not info.flag_bits & _UTF8_NAMES:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _unsafe(name: str, path: PurePosixPath, info: zipfile.ZipInfo) -> str | None:
    """Returns what is wrong with a member, if anything is; `path` is where its name leads."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or name[1:2] == ":":
        return "has a path that starts at a root or a drive"
    if path.parts[:1] == ("..",):
        return "has a path that leads out of the folder"
    if not path.parts and not name.endswith("/"):
        return "has no name"
    if UNTYPABLE.search(name) or any(len(part.encode()) > 255 for part in path.parts):
        return "has an impossible name for an image"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.file_size > MAX_MEMBER_BYTES:
        return f"unzips to {info.file_size:,} bytes, more than {MAX_MEMBER_BYTES:,}"
    return None


def _identity(
    archive: Path, members: list[tuple[PurePosixPath, zipfile.ZipInfo]]
) -> dict[str, Any]:
    """Returns what distinguishes this archive from an edited one, without reading its data."""
    digest = hashlib.sha256()
    for path, info in members:
        digest.update(f"{path}\0{info.file_size}\0{info.CRC}\n".encode())
    status = archive.stat()
    return {
        "archive": archive.name,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "members_sha256": digest.hexdigest(),
        "files": len(members),
        "bytes": sum(info.file_size for _, info in members),
    }


def _is_up_to_date(destination: Path, marker: Path, identity: dict[str, Any]) -> bool:
    try:
        if json.loads(marker.read_text()) != identity:
            return False
    except (OSError, ValueError):  # none yet, or not written by us
        return False
    # Someone may have deleted or truncated images since.
    sizes = [
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(destination)
        for name in names
    ]
    return (len(sizes), sum(sizes)) == (identity["files"], identity["bytes"])


def _partial_folder(destination: Path, identity: dict[str, Any]) -> Path:
    """Makes or finds this archive's partial folder; removes those of other archives."""
    prefix = f".{destination.name}.unzipping-"
    partial = destination.with_name(prefix + identity["members_sha256"][:16])
    for leftover in destination.parent.iterdir():
        if leftover.name.startswith(prefix) and leftover != partial:
            shutil.rmtree(leftover)
    partial.mkdir(mode=0o700, exist_ok=True)
    return partial


def _extract(
    archive: Path,
    opened: zipfile.ZipFile,
    members: list[tuple[PurePosixPath, zipfile.ZipInfo]],
    partial: Path,
    advance: Advance | None,
) -> None:
    total = sum(info.file_size for _, info in members)
    done = 0
    missing = []
    for path, info in members:
        if _is_complete(partial / path, info):
            done += info.file_size
        else:
            missing.append((path, info))
    free = shutil.disk_usage(partial).free
    if total - done > free:
        raise InputError(
            f"{archive} unzips to {total:,} bytes, but {partial.parent} has room for {free:,};"
            " make room or choose another output folder."
        )
    for path, info in missing:
        target = partial / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.unlink(missing_ok=True)
        # zipfile stops at the stated size, and raises if the checksum differs.
        with opened.open(info) as source, open(target, "xb", opener=_private) as sink:
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                done += len(chunk)
                if advance:
                    advance(done, total)
        if target.stat().st_size != info.file_size:
            raise zipfile.BadZipFile(f"{path} is shorter than stated")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _is_complete(target: Path, info: zipfile.ZipInfo) -> bool:
    """Whether an earlier, killed unzip wrote a member completely."""
    try:
        if os.lstat(target).st_size != info.file_size:
            return False
    except FileNotFoundError:
        return False
    checksum = 0
    with target.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum == info.CRC
