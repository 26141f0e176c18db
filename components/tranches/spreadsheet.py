"""Tables for people open in spreadsheets, and a spreadsheet runs what looks like a formula."""

from collections.abc import Iterable


def harmless(cells: Iterable[object]) -> list[object]:
    """Keeps a spreadsheet from taking a cell, such as a file name, for a formula.

    Only for tables that people read: in tranch_master.csv names stay as they are.

    Args:
      cells: a row.

    Returns:
      The row; a text that a spreadsheet would run has a single quote before it.
    """
    return [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r")) else cell
        for cell in cells
    ]
