"""Tables for people open in spreadsheets, and a spreadsheet runs what looks like a formula."""

import re
from collections.abc import Iterable
from typing import Final

# What starts a formula, the full-width signs of East Asian keyboards included. After single
# quotes it is text, however many there are.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_QUOTED_FORMULA: Final = re.compile(rf"'{_FORMULA.pattern}")


def harmless(cells: Iterable[object]) -> list[object]:
    """Keeps a spreadsheet from taking a cell, such as a file name, for a formula.

    Every CSV file that this project writes goes through this.

    Args:
      cells: a row.

    Returns:
      The row; a text that a spreadsheet would run has a single quote before it.
    """
    return [
        f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell for cell in cells
    ]


def original(cells: Iterable[str]) -> list[str]:
    """Undoes `harmless`; leaves alone what it would not have written.

    Args:
      cells: a row as it was read.

    Returns:
      The row as it was.
    """
    return [cell[1:] if _QUOTED_FORMULA.match(cell) else cell for cell in cells]
