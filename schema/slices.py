"""What the test split is sliced by. Titles, names and order follow from the columns.

To slice by another column, or by two together, add a line to `COLUMNS`.
"""

from collections.abc import Iterable
from typing import Any, Final

from schema import features

# Pairs of column and value; empty for the whole test split.
SliceKey = tuple[tuple[str, str], ...]

# In the order of the page; the empty tuple is the whole test split.
COLUMNS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    (features.TRANCHE,),
    (features.OCCLUDED,),
    (features.HOW_MANY,),
    (features.PERSON_TYPE,),
    (features.POSTURE,),
    (features.TRANCHE, features.POSTURE),
    *((quality,) for quality in features.QUALITIES),
)


def title(columns: Iterable[str]) -> str:
    """The heading of all slices by some columns: `Kind of person`, `Posture by tranche`."""
    titles = [features.column(column).title for column in columns]
    return " by ".join(reversed(titles)).capitalize()


def note(columns: Iterable[str]) -> str:
    """How the values of a column came about, where that is not plain; empty for several columns."""
    notes = [features.column(column).note for column in columns]
    return notes[0] if len(notes) == 1 else ""


def name(key: SliceKey) -> str:
    """Names a slice for people: `all test images`, `persons: Two`, `Lying in tranche 2`."""
    names = [features.column(column).value_name.format(value) for column, value in key]
    return " in ".join(reversed(names)) or "all test images"


def key(pairs: Iterable[tuple[str, str]]) -> SliceKey:
    """Makes a key of columns and values in any order: that of `COLUMNS`, where they are there."""
    values = dict(pairs)
    columns = next((each for each in COLUMNS if set(each) == set(values)), tuple(values))
    return tuple((column, values[column]) for column in columns)


def order(key: SliceKey) -> tuple[Any, ...]:
    """The sort key of slices: in the order of `COLUMNS`, other slices last, then by values."""
    columns = tuple(column for column, _ in key)
    place = COLUMNS.index(columns) if columns in COLUMNS else len(COLUMNS)
    return place, columns, [features.value_order(column, value) for column, value in key]
