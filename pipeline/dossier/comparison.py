"""The candidate beside the models that it was compared with: tables for people and programs."""

import csv
import io
from collections.abc import Iterator
from typing import Final

from components.ingest.spreadsheet import harmless
from components.judging.decision import Comparison, Decision
from pipeline.review import formats
from pipeline.review.comparison import in_words
from pipeline.review.section import Table
from pipeline.runs.evaluation_result import slice_name
from schema import slices
from schema.features import ROLES, Role

_COLUMNS: Final = (
    *("against", "slice", "images", "clips", "right", "gained", "lost"),
    *("difference", "low", "high", "margin", "answer", "confirmed", "decides", "passed"),
)


def as_csv(decision: Decision) -> str:
    """All comparisons as CSV; shares are from -1 to 1, and what is not judged is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in decision.comparisons:
        cells = each.model_dump() | {"slice": slice_name(each.place), "difference": each.difference}
        writer.writerow(harmless(cells[column] for column in _COLUMNS))
    return stream.getvalue()


def tables(decision: Decision, least_clips: int) -> dict[Role, list[Table]]:
    """The comparisons with each model: those that the plan asks for, and those that describe.

    Args:
      decision: what the gate found.
      least_clips: from how many clips on a slice decides.
    """
    return {
        role: list(_tables(decision, role, least_clips))
        for role in ROLES
        if role in decision.others
    }


def _tables(decision: Decision, role: Role, least_clips: int) -> Iterator[Table]:
    rows = [each for each in decision.comparisons if each.against == role]
    columns = ["Slice", "Images", "Clips", "Gained", "Lost", "Difference", "95 % interval, points"]
    numbers = range(1, 6)
    judged = [each for each in rows if each.margin is not None]
    yield Table(
        "What the plan asks for",
        [*columns, "Margin", "Answer", "Passed"],
        [[*_cells(each), *_answer(each, least_clips)] for each in judged],
        numbers,
    )
    described = [each for each in rows if each.margin is None]
    yield Table(
        "What only describes: no margin, no correction, no decision",
        columns,
        [_cells(each) for each in described],
        numbers,
    )


def _cells(each: Comparison) -> list[str]:
    counts = (each.images, each.clips, each.gained, each.lost)
    return [
        slices.name(each.place),
        *map(formats.count, counts),
        formats.points(each.difference),
        formats.points_between(each.low, each.high),
    ]


def _answer(each: Comparison, least_clips: int) -> list[str]:
    passed = {
        True: "yes",
        False: "**no**",
        None: f"does not decide: fewer than {formats.count(least_clips)} clips",
    }
    return [formats.loss(each.margin or 0), in_words(each), passed[each.passed]]
