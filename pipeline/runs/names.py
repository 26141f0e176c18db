"""Finds the names of images in files of any kind, and removes them from texts.

A name counts only where it is not part of a longer one: `room1_cat-1_001.png` is not in
`bedroom1_cat-1_001.png`. Of two names that an output folder knows, the longer one counts. Before
a name that it does not know, a text has to have something other than a letter, a digit or one of
`_-.`; in other files a length may stand there, which can be any byte.
"""

import gzip
import html
import json
import os
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes

from google.protobuf import text_encoding

PURGED: Final = b"(purged)"  # takes the place of a name
MARK: Final = "_cat-1_"  # between the clip's name and the frame's number

# Files that people read; runs, exports and clusters leave them all over the output folder.
TEXTS: Final = frozenset(
    {".csv", ".err", ".json", ".jsonl", ".log", ".md", ".out", ".sh", ".toml", ".txt", ".xml"}
)
PAGE: Final = ".html"

_MARK: Final = MARK.encode()
_ANCHOR: Final = 4  # bytes at the end of a name by which it is searched for
_BLOCK: Final = 2**24  # bytes in memory at once
_LONGEST: Final = 2**12  # bytes of a name, however it is escaped
_REST: Final = re.compile(rb"[\w-]*(?:\.\w+)*")  # of a file name, after the clip's
_ESCAPED: Final = re.compile(rb"(?:\\u([0-9A-Fa-f]{4})|%([0-9A-Fa-f]{2})|\\[bfnrt])\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")  # is never escaped
_IN_NAMES: Final = re.compile(r"[\w.-]")


class Names:
    """The names to look for.

    Args:
      own: names of image files; one that ends in `_cat-1_` stands for all frames of a clip.
      others: names to be told apart from them.
    """

    def __init__(self, own: Iterable[str], others: Iterable[str]) -> None:
        self._is_own = dict.fromkeys(
            (spelling for name in others for spelling in _spellings(name)), False
        )
        self._is_own |= dict.fromkeys(
            (spelling for name in own for spelling in _spellings(name)), True
        )
        self._lengths = sorted({len(name) for name in self._is_own}, reverse=True)
        ends = {name[-_ANCHOR:] for name, is_own in self._is_own.items() if is_own}
        self._anchor = re.compile(b"|".join(map(re.escape, sorted(ends))) or rb"(?!)")

    def in_file(self, path: Path) -> bool:
        """Whether a file, of whatever kind, has one of the names in its own name or content.

        A file that cannot be read to its end counts as if it did.
        """
        is_text = path.suffix in TEXTS or path.suffix == PAGE
        if any(self._places(os.fsencode(path.name), is_text=True)):
            return True
        try:
            return any(any(self._places(block, is_text=is_text)) for block in _blocks(path))
        except (OSError, EOFError, zlib.error):
            return True

    def without(self, text: str) -> str:
        """Returns a text with another word in place of the names."""
        content = text.encode(errors="surrogateescape")
        kept, end = [], 0
        for start, stop in self._places(content, is_text=True):
            kept += [content[end:start], PURGED]
            end = stop
        return b"".join([*kept, content[end:]]).decode(errors="surrogateescape")

    def _places(self, content: bytes, *, is_text: bool) -> Iterator[tuple[int, int]]:
        """Yields where the names begin and end."""
        done = 0
        for anchor in self._anchor.finditer(content):
            end = anchor.end()
            for length in self._lengths:  # the longest first: a name may end in another
                name = content[max(0, end - length) : end]
                if name in self._is_own:
                    break
            else:
                continue
            start = end - len(name)
            if not self._is_own[name] or start < done:
                continue
            if is_text and _IN_NAMES.match(_character_before(content[max(0, start - 8) : start])):
                continue
            rest = _REST.match(content, end)
            assert rest  # noqa: S101 (it may be empty)
            is_clip = name.endswith(_MARK)
            if _MARK in rest[0] if is_clip else is_text and rest[0]:
                continue  # the name goes on
            done = rest.end() if is_clip else end
            yield start, done


def forms(name: str) -> set[str]:
    """A name with either kind of accents: macOS writes them apart from their letters."""
    return {name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)}


def _spellings(name: str) -> set[bytes]:
    """A name as files have it: JSON, HTML and others escape some letters."""
    if _PLAIN.fullmatch(name):
        return {name.encode()}
    found: set[bytes] = set()
    for form in forms(name):
        plain = form.encode(errors="surrogateescape")
        found |= {
            plain,
            html.escape(form).encode(errors="surrogateescape"),
            html.escape(form, quote=False).encode(errors="surrogateescape"),
            json.dumps(form)[1:-1].encode(),
            json.dumps(form, ensure_ascii=False)[1:-1].encode(errors="surrogateescape"),
            form.replace('"', '""').encode(errors="surrogateescape"),  # CSV
            quote_from_bytes(plain).encode(),
            quote_from_bytes(plain, safe="").encode(),
            text_encoding.CEscape(plain, as_utf8=False).encode(),  # protocol buffers in text
        }
    return found


def _character_before(content: bytes) -> str:
    """The last character, also if it is escaped."""
    if escaped := _ESCAPED.search(content):
        code = escaped[1] or escaped[2]
        return chr(int(code, 16)) if code else " "
    return content.decode(errors="ignore")[-1:]


def _blocks(path: Path) -> Iterator[bytes]:
    """Yields the content of a file, unpacked; each block begins with the end of the last one."""
    if path.suffix == ".parquet":
        yield from _texts_of_table(path)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        end = b""
        while block := file.read(_BLOCK):
            yield end + block
            end = block[-_LONGEST:]


def _texts_of_table(path: Path) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            for column in batch.columns:
                if pa.types.is_string(column.type):
                    yield "\n".join(filter(None, column.unique().to_pylist())).encode()
    except pa.ArrowException as error:
        raise OSError(f"{path} is no Parquet file") from error
