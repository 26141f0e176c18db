"""The slices of the test split, as TFMA computed them, named for people."""

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np
import pandas as pd

from components.judging import comparison
from components.judging.decision import Comparison
from pipeline.review.contents import Slice, SliceGroup
from pipeline.runs.run import SliceMetrics
from schema import features
from schema import slices as slicing
from schema.features import Role
from schema.slices import SliceKey


def all_slices(
    metrics: Mapping[SliceKey, SliceMetrics], comparisons: Iterable[Comparison] = ()
) -> list[Slice]:
    """Names the slices of an evaluation for people; their order stays.

    Args:
      metrics: by slice.
      comparisons: with other models.
    """
    found: dict[SliceKey, dict[Role, Comparison]] = {}
    for each in comparisons:
        found.setdefault(each.place, {})[each.against] = each
    return [_slice(key, values, found.get(key, {})) for key, values in metrics.items()]


def groups(slices: list[Slice]) -> list[SliceGroup]:
    """Puts slices by the same columns together; they follow one another in an evaluation."""
    return [
        SliceGroup(slicing.title(columns), slicing.note(columns), list(found))
        for columns, found in groupby(slices, lambda part: part.columns)
        if columns
    ]


def worst(
    slices: list[Slice], least: int, predictions: pd.DataFrame | None, count: int = 5
) -> list[Slice]:
    """The slices with the lowest accuracy, worst first.

    Only those below the whole are named: a slice as good as the rest is no news. Of slices whose
    wrong pictures are the same, the one with the lowest accuracy is named, which is the smallest.

    Args:
      slices: all of them, the whole test split as well.
      least: those with fewer images are left out.
      predictions: a row for each test image, with the columns of `parquet.PREDICTIONS`.
      count: how many at most.
    """
    overall = next(part for part in slices if not part.columns)
    weak = sorted(
        (
            part
            for part in slices
            if part.columns and part.count >= least and part.accuracy < overall.accuracy
        ),
        key=lambda part: part.accuracy,
    )
    if predictions is not None:
        wrong = predictions[comparison.answers(predictions) != predictions[features.POSTURE]]
        named: dict[frozenset[int], Slice] = {}
        for part in weak:
            named.setdefault(_pictures(wrong, part), part)
        weak = list(named.values())
    return weak[:count]


def _pictures(images: pd.DataFrame, part: Slice) -> frozenset[int]:
    """The numbers of the images that are in a slice."""
    inside = np.ones(len(images), bool)
    for column, value in zip(part.columns, part.values, strict=True):
        inside &= images[column] == value
    return frozenset(images.index[inside])


def _slice(key: SliceKey, metrics: SliceMetrics, comparisons: Mapping[Role, Comparison]) -> Slice:
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
        confusion=metrics.confusion_matrix,
        comparisons=comparisons,
    )
