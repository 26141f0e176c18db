"""Section 5: which test images are shown, and what they show."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import PipelineConfig
from pipeline.review import label_errors, stored_images
from pipeline.review.section import Section
from schema import features

MOST_MISTAKES: Final = 24
MOST_LABEL_ERRORS: Final = 24
MOST_OF_A_CELL: Final = 6  # in each tranche
MOST_SHOWN: Final = 220

Ints = npt.NDArray[np.int64]


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
      cells: (actual, predicted) to indices into `shown`: a few of each cell and slice.
      label_error_count: how many labels of test images confident learning doubts in all.
      mistake_count: how many test images are wrong in all.
    """

    shown: list[Picture]
    mistakes: list[int]
    label_errors: list[int]
    cells: dict[tuple[str, str], list[int]]
    label_error_count: int
    mistake_count: int


@dataclass(frozen=True)
class ShownRows:
    """Which rows of the predictions are shown.

    Attributes:
      rows: the predictions sorted by tranche and name, with `actual` and `predicted` (indices
        into `features.POSTURES`) and `label_quality`; the positions below refer to it.
      shown: all that are shown: mistakes, label errors, then the others.
      mistakes: the most confident errors, worst first.
      label_errors: likely label errors, likeliest first.
      mistake_count: how many errors there are in all.
      label_error_count: how many labels confident learning doubts in all.
    """

    rows: pd.DataFrame
    shown: list[int]
    mistakes: list[int]
    label_errors: list[int]
    mistake_count: int
    label_error_count: int


def choose(predictions: pd.DataFrame) -> ShownRows:
    """Chooses what is shown, regardless of the order of the rows.

    Args:
      predictions: a row an image, with the columns of `components.examples.parquet.PREDICTIONS`.
    """
    rows = predictions.sort_values([features.TRANCHE, features.FILE_NAME], ignore_index=True)
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
    chosen = [*mistakes, *suspects, *_of_cells(rows, by_confidence)]
    return ShownRows(
        rows,
        shown=list(dict.fromkeys(chosen))[:MOST_SHOWN],
        mistakes=mistakes,
        label_errors=suspects,
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
    cells: dict[tuple[str, str], list[int]] = {}
    shown: list[Picture] = []
    for row in choice.shown:
        picture = _picture(choice.rows.iloc[row], *drawn[row])
        cells.setdefault((picture.actual, picture.predicted), []).append(len(shown))
        shown.append(picture)
    return Gallery(
        shown=shown,
        mistakes=[place[row] for row in choice.mistakes],
        label_errors=[place[row] for row in choice.label_errors],
        cells=cells,
        label_error_count=choice.label_error_count,
        mistake_count=choice.mistake_count,
    )


def _of_cells(rows: pd.DataFrame, by_confidence: Ints) -> list[int]:
    """A few of each cell of the confusion matrix in each tranche, from many clips."""
    ordered = rows.loc[by_confidence, ["actual", "predicted", features.TRANCHE, features.CLIP]]
    cell = ["actual", "predicted", features.TRANCHE]
    frame = ordered.groupby([*cell, features.CLIP]).cumcount()
    # First frames of all clips come before second frames.
    ordered = ordered.loc[frame.sort_values(kind="stable").index]
    turn = ordered.groupby(cell).cumcount()
    turn = turn[turn < MOST_OF_A_CELL]
    # First ones of all cells and tranches come before second ones.
    return [int(row) for row in turn.sort_values(kind="stable").index]


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
        probabilities={posture: float(row[posture]) for posture in features.POSTURES},
        thumbnail=thumbnail,
        attention=attention,
        label_quality=float(row["label_quality"]),
    )
