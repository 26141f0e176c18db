"""What the model was trained and judged on, in numbers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from components.examples import near_duplicates, parquet
from components.examples.near_duplicates import NearDuplicate
from pipeline.review import data_charts, duplicates, formats
from pipeline.review.data_charts import Quantiles
from pipeline.review.section import Chart, Section, Table
from pipeline.runs.left_out import Contradiction, Reject
from schema import features

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

_SPLITS: Final = (features.TRAIN, features.EVAL, features.TEST, features.UNSELECTED)


@dataclass(frozen=True)
class Data(Section):
    """What the model was trained and judged on.

    Attributes:
      images: images in the TFRecords.
      clips: clips among them.
      splits: images by split.
      clips_by_split: clips by split.
      labels: images by column, tranche and value; blank cells are `(blank)`.
      by_posture: images by column (posture excepted), value and posture.
      images_per_clip: number of clips by number of images.
      measures: sizes, light and sharpness by tranche.
      duplicates: near-duplicates across clips, see `near_duplicates.near_duplicates`.
      rejects: what is not in the data.
      contradictions: rows that contradict themselves.
    """

    images: int
    clips: int
    splits: dict[str, int]
    clips_by_split: dict[str, int]
    labels: dict[str, dict[str, dict[str, int]]]
    by_posture: dict[str, dict[str, dict[str, int]]]
    images_per_clip: dict[int, int]
    measures: list[Quantiles]
    duplicates: list[NearDuplicate]
    rejects: list[Reject]
    contradictions: list[Contradiction]

    @property
    def duplicates_across_splits(self) -> int:
        """How many of the near-duplicates the model may be trained on and judged on."""
        return sum(pair.crosses_splits for pair in self.duplicates)

    @property
    def more_duplicates(self) -> bool:
        """Whether there may be more near-duplicates than are listed."""
        return len(self.duplicates) == near_duplicates.MOST

    def charts(self) -> list[Chart]:
        """The original project's four charts of the labels, images per clip, and the measures."""
        charts = []
        for column, tallies in self.labels.items():
            tranches = {f"Tranche {tranche}": tally for tranche, tally in tallies.items()}
            charts.append(data_charts.stacked(f"labels-{column}", "Tranche", column, tranches))
        for column, tallies in self.by_posture.items():
            rows_are = formats.column(column)
            charts.append(
                data_charts.stacked(f"postures-{column}", rows_are, features.POSTURE, tallies)
            )
        if self.images_per_clip:
            charts.append(data_charts.images_per_clip(self.images_per_clip))
        by_measure: dict[str, list[Quantiles]] = {}
        for summary in self.measures:
            by_measure.setdefault(summary.measure, []).append(summary)
        return charts + [data_charts.measure(summaries) for summaries in by_measure.values()]

    def tables(self) -> dict[str, Table]:
        """Splits, unknown labels, contradictions, and what is left out."""
        return {
            "splits": Table(
                "Images and clips by split",
                ["Split", "Images", "Clips"],
                [
                    [split, formats.count(images), formats.count(self.clips_by_split.get(split, 0))]
                    for split, images in self.splits.items()
                ],
                [1, 2],
            ),
            "not-told": _not_told(self.labels),
            "contradictions": Table(
                "Rows with contradicting labels; they stay in the data",
                ["Contradiction", "Rows", "For example"],
                [
                    [found.kind, formats.count(found.count), ", ".join(found.examples)]
                    for found in self.contradictions
                ],
                [1],
            ),
            "rejects": Table(
                "Images and rows that are not in the data",
                ["Reason", "Tranche", "Count", "For example"],
                [
                    [reject.reason, reject.tranche, formats.count(reject.count), reject.example]
                    for reject in self.rejects
                ],
                [2],
            ),
        }


def summarise(
    images: pd.DataFrame,
    examples: Path,
    rejects: list[Reject],
    contradictions: list[Contradiction],
) -> Data:
    """Counts the data of a run, and finds near-duplicates.

    Args:
      images: a row an image, with the columns of `components.examples.parquet.IMAGES`.
      examples: folder of the ExampleGen's output, for the near-duplicates' thumbnails.
      rejects: what is not in the data.
      contradictions: rows that contradict themselves.
    """
    columns = [features.TRANCHE, *features.LABEL_VALUES]
    images = images.assign(**{name: images[name].fillna(features.BLANK) for name in columns})
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
        duplicates=duplicates.with_thumbnails(near_duplicates.near_duplicates(images), examples),
        rejects=rejects,
        contradictions=contradictions,
    )


def _not_told(labels: dict[str, dict[str, dict[str, int]]]) -> Table:
    tranches = list(dict.fromkeys(tranche for tallies in labels.values() for tranche in tallies))
    rows = []
    for column, tallies in labels.items():
        for value in features.NOT_TOLD:
            counts = [tallies.get(tranche, {}).get(value, 0) for tranche in tranches]
            if any(counts):
                numbers = [formats.count(number) for number in (*counts, sum(counts))]
                rows.append([formats.column(column), value, *numbers])
    return Table(
        "Images whose label is unknown or blank",
        ["Column", "Value", *(f"Tranche {tranche}" for tranche in tranches), "All"],
        rows,
        range(2, len(tranches) + 3),
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
            for column in data_charts.ordered(columns, {key[1] for key in found})
            if (row, column) in found
        }
        for row in data_charts.ordered(rows, {key[0] for key in found})
    }


def _measures(images: pd.DataFrame) -> Iterator[Quantiles]:
    for measure in (features.WIDTH, features.HEIGHT, *features.MEASURES):
        known = images.dropna(subset=[measure])
        for tranche in data_charts.ordered(features.TRANCHE, known[features.TRANCHE].unique()):
            values = known.loc[known[features.TRANCHE] == tranche, measure]
            low, lower, median, upper, high = map(float, values.quantile(list(QUANTILES)))
            yield Quantiles(measure, tranche, low, lower, median, upper, high)
