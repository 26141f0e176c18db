"""Which test images are shown, and what they show."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import PipelineConfig
from pipeline.review import label_errors, other_answers, stored_images
from pipeline.review.section import Section
from schema import features

MOST_MISTAKES: Final = 24
MOST_LABEL_ERRORS: Final = 24
MOST_CHANGED: Final = 36  # of those that were right, and of those that are
MOST_OF_A_CELL: Final = 6  # in each tranche
MOST_SHOWN: Final = 220

Ints = npt.NDArray[np.int64]
# Positions of pictures by label and answer.
ByCell = dict[tuple[str, str], list[int]]


@dataclass(frozen=True)
class Answer:
    """A model's answer, how confident it is, 0 to 1, and whether it calls itself unsure."""

    posture: str
    confidence: float
    unsure: bool


@dataclass(frozen=True)
class Picture:
    """A test image that is shown.

    Attributes:
      file_name: its name, as in the label table.
      clip: its clip.
      labels: label columns, `tranche` included, and values of the quality slices, by column;
        the `columns` and `values` of a slice are compared with them.
      actual: its label.
      predicted: the model's answer.
      unsure: whether the model calls it unsure.
      other: the answer of the model that it is compared with; None if that was not asked.
      probabilities: by posture.
      thumbnail: JPEG bytes.
      attention: JPEG bytes of the thumbnail under its Grad-CAM map; None if not drawn.
      label_quality: self-confidence score of confident learning, 0 (worst) to 1.
    """

    file_name: str
    clip: str
    labels: dict[str, str]
    actual: str
    predicted: str
    unsure: bool
    other: Answer | None
    probabilities: dict[str, float]
    thumbnail: bytes
    attention: bytes | None
    label_quality: float


@dataclass(frozen=True)
class Gallery(Section):
    """The test images that are shown, each stored once.

    Attributes:
      shown: all of them.
      mistakes: indices into `shown`: the most confident errors, worst first.
      label_errors: indices into `shown`: likely label errors, likeliest first.
      lost: indices into `shown` by error: some of those that are wrong now, and that the model
        it is compared with has right.
      gained: the reverse, by the error that is gone.
      cells: (actual, predicted) to indices into `shown`: a few of each cell and slice.
      label_error_count: how many labels of test images confident learning doubts in all.
      mistake_count: how many test images are wrong in all.
    """

    shown: list[Picture]
    mistakes: list[int]
    label_errors: list[int]
    lost: ByCell
    gained: ByCell
    cells: ByCell
    label_error_count: int
    mistake_count: int


@dataclass(frozen=True)
class ShownRows:
    """Which rows of the predictions are shown.

    Attributes:
      rows: the predictions sorted by tranche and name, with `actual` and `predicted` (indices
        into `features.POSTURES`) and `label_quality`; the positions below refer to it.
      shown: all that are shown: mistakes, label errors, changes, then the others.
      mistakes: the most confident errors, worst first.
      label_errors: likely label errors, likeliest first.
      lost: as in `Gallery`.
      gained: the same.
      mistake_count: how many errors there are in all.
      label_error_count: how many labels confident learning doubts in all.
    """

    rows: pd.DataFrame
    shown: list[int]
    mistakes: list[int]
    label_errors: list[int]
    lost: ByCell
    gained: ByCell
    mistake_count: int
    label_error_count: int


def choose(predictions: pd.DataFrame) -> ShownRows:
    """Chooses what is shown, regardless of the order of the rows.

    Args:
      predictions: a row an image, with the columns of `components.examples.parquet.PREDICTIONS`.
    """
    blank = dict.fromkeys((*features.LABELS, *features.QUALITIES), features.BLANK)
    rows = other_answers.beside(
        predictions.fillna(blank)
    )  # an older run lacks what was added since
    rows = rows.sort_values([features.TRANCHE, features.FILE_NAME], ignore_index=True)
    probabilities = np.nan_to_num(rows[list(features.POSTURES)].to_numpy(np.float64))
    actual = rows[features.POSTURE].map(features.POSTURES.index).to_numpy(np.int64)
    predicted = probabilities.argmax(axis=1)
    rows = rows.assign(
        actual=actual,
        predicted=predicted,
        label_quality=label_errors.label_quality(actual, probabilities),
    )
    by_confidence = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = by_confidence[(actual != predicted)[by_confidence]].tolist()
    doubted = label_errors.suspects(actual, probabilities).tolist()
    mistakes, suspects = wrong[:MOST_MISTAKES], doubted[:MOST_LABEL_ERRORS]
    ordered = rows.loc[by_confidence]
    lost, gained = _changed(ordered)
    changed = chain(*lost.values(), *gained.values())
    of_cells = _by_turns(ordered, ["actual", "predicted"])
    chosen = [*mistakes, *suspects, *changed, *of_cells]
    return ShownRows(
        rows,
        shown=list(dict.fromkeys(chosen))[:MOST_SHOWN],
        mistakes=mistakes,
        label_errors=suspects,
        lost=lost,
        gained=gained,
        mistake_count=len(wrong),
        label_error_count=len(doubted),
    )


def gallery(
    predictions: pd.DataFrame, split: Path, model_path: Path, config: PipelineConfig
) -> Gallery:
    """Draws the pictures of the page in one pass over the test split.

    Args:
      predictions: as in `choose`.
      split: folder of the test split's TFRecords.
      model_path: the trained Keras model, for Grad-CAM.
      config: the settings of the run.

    Raises:
      KeyError: the split lacks a picture that the predictions name.
    """
    choice = choose(predictions)
    explained = {*choice.mistakes, *choice.label_errors}
    drawn = dict(_draw(choice, explained, split, model_path, config.fit))
    place = {row: index for index, row in enumerate(choice.shown)}
    cells: ByCell = {}
    shown: list[Picture] = []
    for row in choice.shown:
        picture = _picture(choice.rows.iloc[row], *drawn[row])
        cells.setdefault((picture.actual, picture.predicted), []).append(len(shown))
        shown.append(picture)
    return Gallery(
        shown=shown,
        mistakes=[place[row] for row in choice.mistakes],
        label_errors=[place[row] for row in choice.label_errors],
        lost={error: [place[row] for row in rows] for error, rows in choice.lost.items()},
        gained={error: [place[row] for row in rows] for error, rows in choice.gained.items()},
        cells=cells,
        label_error_count=choice.label_error_count,
        mistake_count=choice.mistake_count,
    )


def _by_turns(ordered: pd.DataFrame, cell: list[str]) -> list[int]:
    """A few rows of each cell in each tranche, from many clips.

    Args:
      ordered: the rows, those to prefer first.
      cell: the columns that a cell is told by.
    """
    cell = [*cell, features.TRANCHE]
    frame = ordered.groupby([*cell, features.CLIP]).cumcount()
    # First frames of all clips come before second frames.
    ordered = ordered.loc[frame.sort_values(kind="stable").index]
    turn = ordered.groupby(cell).cumcount()
    turn = turn[turn < MOST_OF_A_CELL]
    # First ones of all cells and tranches come before second ones.
    return [int(row) for row in turn.sort_values(kind="stable").index]


def _changed(rows: pd.DataFrame) -> tuple[ByCell, ByCell]:
    """Some of the rows that only the other model has right, and that only this one has.

    Args:
      rows: those to prefer first.
    """
    rows = rows.dropna(subset=["other_answer"])
    rows = rows.assign(answer=rows["predicted"].map(dict(enumerate(features.POSTURES))))
    was_right = rows["other_answer"] == rows[features.POSTURE]
    is_right = rows["answer"] == rows[features.POSTURE]
    lost = _some(rows[was_right & ~is_right], "answer")
    return lost, _some(rows[is_right & ~was_right], "other_answer")


def _some(rows: pd.DataFrame, answer: str) -> ByCell:
    error = [features.POSTURE, answer]
    found: ByCell = {}
    for row in _by_turns(rows, error)[:MOST_CHANGED]:
        found.setdefault(tuple(rows.loc[row, error]), []).append(row)
    return found


def _draw(
    choice: ShownRows, explained: set[int], split: Path, model_path: Path, fit: str
) -> Iterator[tuple[int, tuple[bytes, bytes | None]]]:
    """Yields position, thumbnail and attention of what is shown, in the order of the files."""
    explain = None
    if explained:
        # Imported here, because TensorFlow takes seconds, and `choose` does without.
        from components.training import network
        from pipeline.review import grad_cam

        explain = grad_cam.GradCam(network.load(model_path))
    names = choice.rows.loc[choice.shown, [features.TRANCHE, features.FILE_NAME]]
    positions = {(tranche, name): row for row, tranche, name in names.itertuples()}
    for key, jpeg in stored_images.read(split, positions):
        row, picture = positions[key], stored_images.thumbnail(jpeg)
        attention = None
        if explain and row in explained:
            attention = stored_images.encode(grad_cam.overlay(picture, explain(jpeg, fit), fit))
        yield row, (stored_images.encode(picture), attention)


def _picture(row: pd.Series, thumbnail: bytes, attention: bytes | None) -> Picture:
    columns = [features.TRANCHE, *features.LABEL_VALUES, *features.QUALITIES]
    return Picture(
        file_name=row[features.FILE_NAME],
        clip=row[features.CLIP],
        labels={column: row[column] for column in columns},
        actual=features.POSTURES[row["actual"]],
        predicted=features.POSTURES[row["predicted"]],
        unsure=bool(row[features.UNSURE]),
        other=None if row["other_answer"] is None else Answer(*row[[*other_answers.OTHER]]),
        probabilities={posture: float(row[posture]) for posture in features.POSTURES},
        thumbnail=thumbnail,
        attention=attention,
        label_quality=float(row["label_quality"]),
    )
