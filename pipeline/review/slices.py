"""Section 2: the slices of the test split, as TFMA computed them, named for people."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby

from pipeline.review.contents import Slice, SliceGroup
from pipeline.runs.run import SliceMetrics
from schema import slices as slicing
from schema.slices import SliceKey


def all_slices(metrics: Mapping[SliceKey, SliceMetrics]) -> list[Slice]:
    """Names the slices of an evaluation for people; their order stays."""
    return [_slice(key, values) for key, values in metrics.items()]


def groups(slices: list[Slice]) -> list[SliceGroup]:
    """Puts slices by the same columns together; they follow one another in an evaluation."""
    return [
        SliceGroup(slicing.title(columns), slicing.note(columns), list(found))
        for columns, found in groupby(slices, lambda part: part.columns)
        if columns
    ]


def worst(slices: list[Slice], least: int, count: int = 5) -> list[Slice]:
    """The slices of at least `least` images with the lowest accuracy, worst first.

    Only those below the whole are named: a slice as good as the rest is no news.
    """
    overall = next(part for part in slices if not part.columns)
    candidates = [
        part
        for part in slices
        if part.columns and part.count >= least and part.accuracy < overall.accuracy
    ]
    return sorted(candidates, key=lambda part: part.accuracy)[:count]


def against(slices: list[Slice], other: list[Slice]) -> list[Slice]:
    """Compares with another run's figures instead of the baseline's.

    The bounds add both variances, as for two independent samples. Where both runs
    were judged on the same images, that is too wide: no difference is called more
    than noise that is not.

    Args:
      slices: of this run.
      other: of the run to compare with.
    """
    theirs = {(part.columns, part.values): part for part in other}
    return [_compared(part, theirs.get((part.columns, part.values))) for part in slices]


def _compared(part: Slice, other: Slice | None) -> Slice:
    if other is None:
        return replace(part, difference=None, difference_low=None, difference_high=None)
    difference = part.accuracy - other.accuracy
    widths = [(s.high - s.low) / 2 for s in (part, other) if s.low is not None and s.high]
    margin = math.hypot(*widths) if len(widths) == 2 else None
    return replace(
        part,
        difference=difference,
        difference_low=None if margin is None else difference - margin,
        difference_high=None if margin is None else difference + margin,
    )


def _slice(key: SliceKey, metrics: SliceMetrics) -> Slice:
    return Slice(
        columns=tuple(column for column, _ in key),
        values=tuple(value for _, value in key),
        name=slicing.name(key),
        count=metrics.example_count,
        accuracy=metrics.accuracy,
        low=metrics.accuracy_low,
        high=metrics.accuracy_high,
        macro_f1=metrics.macro_f1,
        recall=metrics.recall,
        precision=metrics.precision,
        calibration_error=metrics.expected_calibration_error,
        coverage=metrics.coverage,
        selective_accuracy=metrics.selective_accuracy,
        difference=metrics.accuracy_difference,
        difference_low=metrics.accuracy_difference_low,
        difference_high=metrics.accuracy_difference_high,
        confusion=metrics.confusion_matrix,
    )
