"""Keeps spreadsheets from executing cells of the CSV tables that people open."""

import re
from collections.abc import Iterable
from typing import Final

# The start of a formula, including the full-width signs of East Asian keyboards. Any number of
# single quotes may precede it: `original` has to tell a quote of ours from one in the text.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_QUOTED_FORMULA: Final = re.compile(rf"'{_FORMULA.pattern}")


def harmless(cells: Iterable[object]) -> list[object]:
    """Keeps spreadsheets from taking a cell, such as a file name, for a formula.

    Every row of a CSV file that this project writes passes through it.

    Args:
      cells: a row.

    Returns:
      The row; a single quote precedes any text that a spreadsheet would execute.
    """
    return [
        f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell for cell in cells
    ]


def original(cells: Iterable[str]) -> list[str]:
    """Undoes `harmless`; does not change what `harmless` would not have written.

    Args:
      cells: a row of a CSV file.

    Returns:
      The row as it was before `harmless`.
    """
    return [cell[1:] if _QUOTED_FORMULA.match(cell) else cell for cell in cells]
