"""Warns if the names of clips do not seem to keep the frames of a video together.

The splits go by clip. If each image has a clip of its own, frames of one video are in different
splits, and nothing else shows it: accuracy only looks better than it is.
"""

import re
import sqlite3
from collections.abc import Iterable
from typing import Final

# The grouping by clips is in doubt above this share of clips with a single image, or if this share
# of the clips is another one with a prefix. Of fewer clips nothing can be said.
_DOUBTFUL_SINGLES: Final = 0.9
_DOUBTFUL_PREFIXES: Final = 0.1
_LEAST_CLIPS: Final = 5
# Columns with what is left of a clip's name without prefixes: the first part (`9f767c45-` of Label
# Studio), the first two, and all parts that may be of a number, a time or a UUID.
_RESTS: Final = ("one", "two", "identifiers")
_PREFIXES: Final = tuple(
    re.compile(rf"(?i){prefix}(?=.)")
    for prefix in (
        r"[^-_. ]+[-_. ]+",
        r"[^-_. ]+[-_. ]+[^-_. ]+[-_. ]+",
        r"(?:[0-9a-ftz:]+[-_. ]+)+",
    )
)


def doubts(join: sqlite3.Connection, tranches: Iterable[str]) -> list[str]:
    """Looks at the clips of all tranches together; if they are well, at those of each.

    Args:
      join: has the table or view `master` with the columns tranche, clip and file_name.
      tranches: their names.

    Returns:
      A sentence for each doubt.
    """
    columns = f"tranche, clip, images, {', '.join(_RESTS)}"
    join.execute(f"CREATE TABLE clips ({columns}, PRIMARY KEY (tranche, clip))")
    join.executemany(
        f"INSERT INTO clips VALUES (?, ?, ?{', ?' * len(_RESTS)})",  # noqa: S608 -- question marks
        (
            (tranche, clip, images, *(_without(prefix, clip) for prefix in _PREFIXES))
            for tranche, clip, images in join.execute(
                "SELECT tranche, clip, COUNT(*) FROM master GROUP BY 1, 2"
            )
        ),
    )
    if doubt := _doubt(join, "", "TRUE"):
        return [doubt]
    each = (_doubt(join, f" in tranche {name}", f"tranche = {name}") for name in tranches)
    return [doubt for doubt in each if doubt]


def _without(prefix: re.Pattern[str], clip: str) -> str:
    match = prefix.match(clip)
    return clip[match.end() :] if match else clip


def _doubt(join: sqlite3.Connection, where: str, condition: str) -> str:
    """Says what is doubtful of the clips that an SQL condition selects; empty if nothing is."""
    clips, singles = join.execute(
        f"""
        SELECT COUNT(*), SUM(images = 1)
        FROM (SELECT SUM(images) AS images FROM clips WHERE {condition} GROUP BY clip)
        """  # noqa: S608 -- a number of ours
    ).fetchone()
    if clips < _LEAST_CLIPS:
        return ""
    for rest in _RESTS:
        (prefixed,) = join.execute(
            f"SELECT COUNT(*) FROM clips WHERE {rest} != clip AND {condition}"  # noqa: S608
        ).fetchone()
        if prefixed < _DOUBTFUL_PREFIXES * clips:
            continue
        # Either all have a prefix, or some have whose rest is the name of another.
        of_some = f"iif({rest} IN (SELECT clip FROM clips), {rest}, clip)"  # noqa: S608
        for name in (rest, of_some):
            (remaining,) = join.execute(
                f"SELECT COUNT(DISTINCT {name}) FROM clips WHERE {condition}"  # noqa: S608
            ).fetchone()
            if clips - remaining < _DOUBTFUL_PREFIXES * clips:
                continue
            # Clips of several wards that are numbered alike have the same frames. Parts of one
            # clip do not.
            (clashes,) = join.execute(
                f"""
                SELECT COUNT(*) - COUNT(DISTINCT {name} || substr(file_name, length(clip) + 1))
                FROM master JOIN clips USING (tranche, clip) WHERE {condition}
                """  # noqa: S608
            ).fetchone()
            if clashes < _DOUBTFUL_PREFIXES * (clips - remaining):
                return (
                    f"The {clips:,} clips{where} would be {remaining:,} without the first part of"
                    " their names. If that is a prefix, as labelling tools add it, frames of one"
                    " video are in different splits, and accuracy is overstated: remove it from"
                    " table and images."
                )
    if singles > _DOUBTFUL_SINGLES * clips:
        return (
            f"{singles:,} of {clips:,} clips{where} have a single image. If images are frames of"
            " videos, frames of one video are in different splits, and accuracy is overstated: give"
            " them one clip in their names, <clip>_cat-1_<frame>.<ext>."
        )
    return ""
