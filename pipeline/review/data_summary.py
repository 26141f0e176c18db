"""Section 6: what the model was made from and judged on, counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pandas as pd

from components.examples import parquet
from pipeline.review import duplicates
from pipeline.review.contents import Data, MeasureSummary
from pipeline.runs.run import Contradiction, Reject
from schema import features

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

_SPLITS: Final = (features.TRAIN, features.EVAL, features.TEST, features.UNSELECTED)


def summarise(
    images: pd.DataFrame, rejects: list[Reject], contradictions: list[Contradiction]
) -> Data:
    """Counts the data of a run.

    Args:
      images: a row an image, with the columns of `components.examples.parquet.IMAGES`.
      rejects: what is not in the data.
      contradictions: what contradicts itself.
    """
    columns = [features.TRANCHE, *features.LABEL_VALUES]
    images = images.assign(**{name: images[name].fillna(features.BLANK) for name in columns})
    shown, pairs, across = duplicates.near_duplicates(images)
    per_clip = Counter(images.groupby(features.CLIP).size().tolist())
    return Data(
        images=len(images),
        clips=images[features.CLIP].nunique(),
        splits=_by_split(images[parquet.SPLIT].value_counts()),
        clips_by_split=_by_split(images.groupby(parquet.SPLIT)[features.CLIP].nunique()),
        labels={
            column: _crosstab(images, features.TRANCHE, column) for column in features.LABEL_VALUES
        },
        by_posture={
            column: _crosstab(images, column, features.POSTURE)
            for column in features.LABEL_VALUES
            if column != features.POSTURE
        },
        images_per_clip=dict(sorted(per_clip.items())),
        measures=list(_measures(images)),
        duplicates=shown,
        duplicate_count=pairs,
        duplicates_across_splits=across,
        duplicate_distance=duplicates.DISTANCE,
        rejects=rejects,
        contradictions=contradictions,
    )


def _by_split(counts: pd.Series) -> dict[str, int]:
    return {split: int(counts[split]) for split in _SPLITS if split in counts}


def _crosstab(images: pd.DataFrame, rows: str, columns: str) -> dict[str, dict[str, int]]:
    """Images by the values of two columns, both in their order, without zeros."""
    counts = images.groupby([rows, columns]).size()
    found: dict[tuple[str, str], int] = {key: int(count) for key, count in counts.items()}  # type: ignore[misc]
    return {
        row: {
            column: found[row, column]
            for column in _in_order(columns, {key[1] for key in found})
            if (row, column) in found
        }
        for row in _in_order(rows, {key[0] for key in found})
    }


def _in_order(column: str, values: Iterable[str]) -> list[str]:
    """Values as the schema has them, then unknown ones, then the blank."""
    known: Sequence[str] = (*features.LABEL_VALUES.get(column, ()),)
    return sorted(
        values,
        key=lambda value: (
            value == features.BLANK,
            known.index(value) if value in known else len(known),
            features.tranche_order(value),
        ),
    )


def _measures(images: pd.DataFrame) -> Iterator[MeasureSummary]:
    for measure in (features.WIDTH, features.HEIGHT, *features.MEASURES):
        known = images.dropna(subset=[measure])
        for tranche in _in_order(features.TRANCHE, known[features.TRANCHE].unique()):
            values = known.loc[known[features.TRANCHE] == tranche, measure]
            low, lower, median, upper, high = map(float, values.quantile(list(QUANTILES)))
            yield MeasureSummary(measure, tranche, low, lower, median, upper, high)
