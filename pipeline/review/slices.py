"""Section 2: the slices of the test split, as TFMA computed them, named for people."""

from collections.abc import Mapping
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
