"""Reads a label table: a CSV file as published, or as edited by hand.

Accepted are a byte-order mark, CRLF, quoted commas and line breaks, additional columns, any order
of columns, empty rows (spreadsheets leave them at the end), and blanks around a cell, which are
stripped. Anything that would change or lose a label is refused, see `read_labels`.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from components.errors import DataError
from schema import features

# Names of the image column, the preferred one first. In a table with both, the other one is the
# location of the image when it was labelled.
IMAGE_COLUMNS: Final = (features.FILE_NAME, "final_url")
LABEL_COLUMNS: Final = tuple(features.LABEL_VALUES)
OPTIONAL_COLUMNS: Final = frozenset({features.EXCEPTION_CASE})

# A table with one mistake often has hundreds like it: the first ones suffice.
MAX_PROBLEMS: Final = 20

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
      file_name: name of the image file, without folders.
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
    """Returns the clip of an image file name, or None if the name does not follow the pattern."""
    match = _NAME.fullmatch(file_name)
    return match["clip"] if match else None


def read_labels(table: Path, problems: TableProblems) -> Iterator[LabelRow]:
    """Reads a label table row by row, in constant memory.

    Args:
      table: UTF-8 CSV with a header, see the module's docstring.
      problems: collects the problems of single rows: an unknown label value, an empty file name
        or one that is not `<clip>_cat-1_<frame>.<ext>`, a wrong number of cells. The caller adds
        duplicates, which need the names of all tables, and leaves its `with` block.

    Yields:
      The valid rows, in the table's order. Of a URL or path in the image column, the last
      component counts.

    Raises:
      DataError: the table as a whole cannot be read: another encoding, a missing
        or repeated column, broken quoting, no rows.
    """
    records = _records(table)
    _, header = next(records, (1, []))
    image_column, label_columns = _columns(table, header)
    empty = True
    for row, cells in records:
        if not any(cells):
            continue
        empty = False
        if len(cells) != len(header):
            problems.add(
                row,
                f"it has {len(cells)} cells where the header has {len(header)};"
                " put cells that contain a comma in double quotes.",
            )
            continue
        file_name = _last_component(cells[image_column])
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
    """Yields row numbers and stripped cells; checks encoding and quoting."""
    row = 0
    try:
        with table.open("rb") as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise _wrong_encoding(table, 1)
        # Escapes wrong bytes instead of raising, so that the row can be named.
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for row, cells in enumerate(csv.reader(file, strict=True), start=1):
                text = "".join(cells)
                if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                    raise _wrong_encoding(table, row)
                yield row, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(
            f"{table}, row {row + 1}: {error}; separate the cells by commas, and look for a"
            " double quote without its partner."
        ) from error
    except OSError as error:
        raise DataError(f"{table} cannot be read: {error.strerror}.") from error


def _wrong_encoding(table: Path, row: int) -> DataError:
    return DataError(
        f"{table}, row {row}: the text is not UTF-8; save the table again as"
        ' "CSV UTF-8 (comma delimited)".'
    )


def _columns(table: Path, header: list[str]) -> tuple[int, list[int | None]]:
    """Finds the image column and the label columns (None for an absent optional one)."""
    for column in (*IMAGE_COLUMNS, *LABEL_COLUMNS):
        if header.count(column) > 1:
            raise DataError(f"{table}, row 1: the column {column} appears twice; remove one.")
    image = next((column for column in IMAGE_COLUMNS if column in header), None)
    missing = [
        column
        for column in LABEL_COLUMNS
        if column not in header and column not in OPTIONAL_COLUMNS
    ]
    if image is None:
        missing.insert(0, " or ".join(IMAGE_COLUMNS))
    if missing or image is None:
        hint = "the header names the columns, separated by commas"
        if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
            hint = "save it with commas between the cells, not semicolons or tabs"
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
