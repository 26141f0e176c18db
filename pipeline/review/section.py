"""What a section of the page is made of.

A section is one module: its figures are a frozen dataclass that inherits from `Section`, beside
the function that reads them. It is shown by the template of its name (`templates/`), is a field
of `contents.Review`, and has a title in `contents.SECTIONS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of text; the first cell of a row is its heading.

    Attributes:
      caption: what it holds.
      columns: the headings.
      rows: the cells, formatted, as many as there are columns.
      numbers: the columns of figures, counted from 0.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


@dataclass(frozen=True)
class Chart:
    """A chart and its text alternative.

    Attributes:
      key: its name on the page.
      title: its heading.
      summary: what it shows, in one or two sentences.
      spec: Vega-Lite, without config; None where it would be a single bar or dot, which `summary`
        tells as well.
      figures: the same in numbers; None where a table beside the chart has them.
    """

    key: str
    title: str
    summary: str
    spec: dict[str, Any] | None = None
    figures: Table | None = None


class Section:
    """What a section shows besides text; templates find it by its key."""

    def tables(self) -> dict[str, Table]:
        """Its tables by key; those without rows are not shown."""
        return {}

    def charts(self) -> list[Chart]:
        """Its charts."""
        return []
