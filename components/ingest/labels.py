"""Reads a label table: a CSV file as published, or as edited by hand.

Accepted are byte-order marks, Excel's line `sep=,`, CRLF, quoted commas and line breaks, additional
columns, any order of columns, empty rows (spreadsheets leave them at the end), rows that lack their
last, blank cells or have more of them, and blanks around a cell, which are stripped. Anything that
would change or lose a label is refused, see `read_labels`.
"""

import csv
import difflib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO
from urllib.parse import unquote, urlsplit

from components.errors import DataError
from components.first_bytes import INVISIBLE, SIZE, ZIP, kind
from schema import features

# Names of the image column, the preferred one first. In a table with both, the other one is the
# location of the image when it was labelled.
IMAGE_COLUMNS: Final = (features.FILE_NAME, "final_url")
LABEL_COLUMNS: Final = tuple(features.LABELS)

# A table with one mistake often has hundreds like it: the first ones suffice.
MAX_PROBLEMS: Final = 20

# The line before the header by which Excel learns how cells are separated.
_SEPARATOR: Final = re.compile(r'(?i)"?sep=([,;\t|])"?[\r\n]*')

# From which likeness on, of `difflib`, a column is meant as one of ours.
_LIKENESS: Final = 0.85

# <clip>_cat-1_<frame>.<ext>. A clip is any text; the last `_cat-1_` ends it.
_NAME: Final = re.compile(r"(?P<clip>[^/\\\x00-\x1f\x7f]+)_cat-1_[0-9]+\.(?i:png|jpg|jpeg)")
_ALLOWED: Final = {
    column: frozenset({"", *values}) for column, values in features.LABEL_VALUES.items()
}


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of a label table, checked.

    Attributes:
      row: row number as a spreadsheet shows it; the header is row 1.
      file_name: name of the image file, without folders, in Unicode's composed form (NFC).
      clip: the part of the name before `_cat-1_`; frames of one clip share it.
      values: the label columns, in the order of `LABEL_COLUMNS`; "" is blank.
    """

    row: int
    file_name: str
    clip: str
    values: tuple[str, ...]


class TableProblems:
    """Collects the problems of a table; leaving its `with` block raises all of them at once."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._lines: list[str] = []

    def add(self, row: int, text: str) -> None:
        """Adds a problem of a row.

        Raises:
          DataError: there are `MAX_PROBLEMS` of them; reading on would not help.
        """
        self._lines.append(f"{self._table}, row {row}: {text}")
        if len(self._lines) == MAX_PROBLEMS:
            self._lines.append(f"(Only the first {MAX_PROBLEMS} problems of the table are listed.)")
            raise self._error()

    def _error(self) -> DataError:
        return DataError("\n".join(self._lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._lines:
            raise self._error()


def clip_of(file_name: str) -> str | None:
    """Returns the clip of an image file name (NFC), or None if it does not follow the pattern."""
    match = _NAME.fullmatch(unicodedata.normalize("NFC", file_name))
    return match["clip"] if match else None


def read_labels(table: Path, problems: TableProblems) -> Iterator[LabelRow]:
    """Reads a label table row by row, in constant memory.

    Args:
      table: UTF-8 CSV with a header, see the module's docstring.
      problems: collects the problems of single rows: an unknown label value, an empty file name
        or one that is not `<clip>_cat-1_<frame>.<ext>`, text beyond the last column. The caller
        adds duplicates, which need the names of all tables, and leaves its `with` block.

    Yields:
      The valid rows, in the table's order. Of a URL or path in the image column, the last
      component counts.

    Raises:
      DataError: the table as a whole cannot be read: it is something else, another encoding, a
        missing or repeated column, broken quoting, no rows, a last row that is cut.
    """
    records = _records(table)
    header = next((cells for _, cells in records if any(cells)), [])
    header = [cell.strip(INVISIBLE) for cell in header]
    image_column, label_columns = _columns(table, header)
    empty = True
    for row, cells in records:
        if not any(cells):
            continue
        empty = False
        if any(cells[len(header) :]):
            problems.add(
                row,
                f"it has {len(cells)} cells where the header has {len(header)}, and the last is"
                f" {cells[-1]!r}; put cells that contain a comma in double quotes.",
            )
            continue
        cells = cells + [""] * (len(header) - len(cells))
        file_name = unicodedata.normalize("NFC", _last_component(cells[image_column]))
        clip = clip_of(file_name)
        if clip is None:
            problems.add(row, _bad_name(header[image_column], file_name))
        values = tuple("" if index is None else cells[index] for index in label_columns)
        valid = clip is not None
        for column, value in zip(LABEL_COLUMNS, values, strict=True):
            if value not in _ALLOWED[column]:
                valid = False
                problems.add(
                    row,
                    f"{column} is {value!r}; allowed are"
                    f" {', '.join(features.LABEL_VALUES[column])}, or a blank cell.",
                )
        if clip is not None and valid:
            yield LabelRow(row, file_name, clip, values)
    if empty:
        raise DataError(f"{table} has a header but no rows; add labels or remove the table.")


def _records(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields row numbers and stripped cells; checks that it is a table, encoding and quoting."""
    row, width, cells = 0, 0, list[str]()
    try:
        with table.open("rb") as start:
            what = kind(start.read(SIZE))
            start.seek(max(0, start.seek(0, os.SEEK_END) - 1))
            ended = start.read() in (b"", b"\r", b"\n")
        if what.startswith("UTF-"):
            raise _wrong_encoding(table, 1, what.replace("text", "and "))
        if what:
            what += ", as Excel workbooks are" * (what == ZIP)
            raise DataError(
                f"{table} is {what}, not a CSV table; save the table as"
                ' "CSV UTF-8 (comma delimited)", or fetch it again.'
            )
        # Escapes wrong bytes instead of raising, so that the row can be named.
        with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            lines, separator = _lines(file)
            reader = csv.reader(lines, delimiter=separator, strict=True)
            for row, cells in enumerate(reader, start=1):
                text = "".join(cells)
                if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                    raise _wrong_encoding(table, row)
                cells = [cell.strip() for cell in cells]
                width = width or len(cells) * any(cells)
                yield row, cells
        if any(cells) and len(cells) < width and not ended:
            raise DataError(
                f"{table}, row {row}: the table ends in the midst of this row, as if it was cut;"
                " fetch it again, or complete the row and end it with a line break."
            )
    except csv.Error as error:
        raise DataError(
            f"{table}, row {row + 1}: {error}; separate the cells by commas, and look for a"
            " double quote without its partner."
        ) from error
    except OSError as error:
        raise DataError(f"{table} cannot be read: {error.strerror}.") from error


def _lines(file: TextIO) -> tuple[Iterator[str], str]:
    """Returns the lines of a table from its header on, and what separates the cells."""
    first = file.readline().lstrip(INVISIBLE)
    if declared := _SEPARATOR.fullmatch(first):
        return itertools.chain([file.readline().lstrip(INVISIBLE)], file), declared[1]
    return itertools.chain([first], file), ","


def _wrong_encoding(table: Path, row: int, found: str = "") -> DataError:
    return DataError(
        f"{table}, row {row}: the text is {found}not UTF-8; save the table again as"
        ' "CSV UTF-8 (comma delimited)".'
    )


def _columns(table: Path, header: list[str]) -> tuple[int, list[int | None]]:
    """Finds the image column and the label columns (None for an absent optional one)."""
    for column in (*IMAGE_COLUMNS, *LABEL_COLUMNS):
        if header.count(column) > 1:
            raise DataError(f"{table}, row 1: the column {column} appears twice; remove one.")
    image = next((column for column in IMAGE_COLUMNS if column in header), None)
    lower = {cell.lower(): cell for cell in header}
    near = {
        column: lower[close[0]]
        for column in (*LABEL_COLUMNS, *(() if image else IMAGE_COLUMNS))
        if column not in header
        and (close := difflib.get_close_matches(column, lower, n=1, cutoff=_LIKENESS))
    }
    missing = [
        column
        for column in LABEL_COLUMNS
        if column not in header and (column in near or not features.LABELS[column].optional)
    ]
    if image is None:
        missing.insert(0, " or ".join(IMAGE_COLUMNS))
    if missing or image is None:
        hint = "the header names the columns, separated by commas"
        if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
            hint = "save it with commas between the cells, not semicolons or tabs"
        if near:
            hint = ", ".join(f"write {column} instead of {cell!r}" for column, cell in near.items())
        raise DataError(f"{table}, row 1: missing column {', '.join(missing)}; {hint}.")
    return header.index(image), [
        header.index(column) if column in header else None for column in LABEL_COLUMNS
    ]


def _last_component(cell: str) -> str:
    """Removes folders, and the query of a URL, from an image cell."""
    if "://" in cell:
        try:
            cell = unquote(urlsplit(cell).path)
        except ValueError:  # not a URL; the name pattern will refuse it
            return cell
    return cell.replace("\\", "/").rpartition("/")[2]


def _bad_name(column: str, file_name: str) -> str:
    if not file_name:
        return f"{column} is empty; name the image or remove the row."
    return (
        f"{column} is {file_name!r}; image names are <clip>_cat-1_<frame>.<ext>, with a frame"
        " in digits and the extension png, jpg or jpeg."
    )
