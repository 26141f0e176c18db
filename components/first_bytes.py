"""Looks at a file before it is believed: what it really is, and marks before its text."""

import re
from pathlib import Path
from typing import Final

from components.errors import InputError

SIZE: Final = 4096  # bytes that `kind` needs

# No editor shows them before a text: byte-order mark, soft hyphen, zero-width spaces and joiners.
INVISIBLE: Final = "\ufeff\u00ad\u200b\u200c\u200d\u200e\u200f\u2060"

ZIP: Final = "a zip"
_SIGNATURES: Final = (
    (b"PK\x03\x04", ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer (`git lfs pull` fetches the file)"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\0\0\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
# Names of members of zips that are more than that.
_MEMBERS: Final = (
    (b"xl/", "an Excel workbook (.xlsx)"),
    (b"opendocument", "an OpenDocument file (.ods)"),
    (b"metadata.json", "a Keras model (.keras)"),
    (b".npy", "a NumPy archive (.npz)"),
    (b"data.pkl", "a PyTorch file"),
)
_JSON: Final = re.compile(rb'\{\s*"|\[\s*\{')


def kind(start: bytes) -> str:
    """Says what a file is, whatever its name says.

    Args:
      start: its first `SIZE` bytes, or all if it has fewer.

    Returns:
      For example `an Excel workbook` or `UTF-16 text`; empty for UTF-8 text such as CSV and
      TOML, and for what is not known.
    """
    found = next((name for magic, name in _SIGNATURES if start.startswith(magic)), "")
    if found == ZIP:
        return next((name for member, name in _MEMBERS if member in start), ZIP)
    if found:
        return found
    if start[257:262] == b"ustar":
        return "a tar archive"
    if start and not start.strip(b"\0"):
        return "a file of zeros, as an unfinished download leaves it"
    # Without its mark, UTF-16 is known by the zeros in every other byte of English words.
    zeros, letters = sorted((start[:64:2], start[1:64:2]), key=lambda half: -half.count(0))
    if zeros.count(0) * 2 > len(zeros) and not letters.count(0):
        return "UTF-16 text"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<"):
        return "an HTML page, such as a sign-in page" if b"html" in text else "an XML document"
    return "a JSON document" if _JSON.match(text) else ""


def kind_of(path: Path) -> str:
    """Says what `kind` says of a file.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return kind(file.read(SIZE))


def read_text(path: Path) -> str:
    """Reads text that people wrote, such as settings, without invisible marks before it.

    Raises:
      InputError: it is something else, UTF-16 for example.
      UnicodeDecodeError: it is not UTF-8.
      OSError: it cannot be read.
    """
    content = path.read_bytes()
    if what := kind(content[:SIZE]):
        raise InputError(f"{path} is {what}; give a text in UTF-8.")
    return content.decode().lstrip(INVISIBLE)
