"""Tables in the terminal, in which no name and no figure is ever cut."""

import os
from collections.abc import Collection, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

# Words up to this length stay whole, such as the name of a run; paths may be longer.
_WORD: Final = 24
_GAP: Final = 3  # between columns


def show(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[int] = (),
    title: str = "",
    caption: str = "",
) -> None:
    """Prints a table; nothing if it has no rows.

    Where it is too wide, cells wrap between words, and long words inside. In a window that is too
    narrow even for that, each row becomes lines of heading and cell. In a pipe or a file the table
    is as wide as it has to be, unless COLUMNS is set.

    Args:
      console: where to.
      headings: of the columns.
      rows: the cells, as many as there are columns; markup in them is plain text.
      numbers: the columns of figures, counted from 0.
      title: stands above the table.
      caption: stands below it.
    """
    if not rows:
        return
    if title:
        console.print(Text(title, "italic"))
    columns = [[heading, *cells] for heading, *cells in zip(headings, *rows, strict=True)]
    widths = [max([1, *map(cell_len, column)]) for column in columns]
    least = [
        max([1, *(min(_WORD, cell_len(word)) for cell in column for word in cell.split())])
        for column in columns
    ]
    room = console.width - _GAP * (len(columns) - 1)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        room = sum(widths)
    while sum(widths) > max(room, sum(least)):
        wrapping = (at for at, width in enumerate(widths) if width > least[at])
        widths[max(wrapping, key=lambda at: widths[at])] -= 1
    if sum(widths) <= room:
        table = Table(
            show_edge=False, pad_edge=False, width=sum(widths) + _GAP * (len(columns) - 1)
        )
        for at, (heading, width) in enumerate(zip(headings, widths, strict=True)):
            table.add_column(
                Text(heading),
                width=width,
                justify="right" if at in numbers else "left",
                overflow="fold",
            )
        for row in rows:
            table.add_row(*map(Text, row))
    else:
        # Headings give way to a whole word beside them.
        room = max(console.width - _WORD - 2, console.width // 3)
        first = Column(width=min(room, max(map(cell_len, headings))), overflow="fold")
        table = Table.grid(first, Column(overflow="fold"), padding=(0, 2, 0, 0))
        for row in rows:
            for heading, cell in zip(headings, row, strict=True):
                table.add_row(Text(heading, "bold"), Text(cell))
            table.add_row()
    console.print(table, crop=False)
    if caption:
        console.print(Text(caption, "dim"))
