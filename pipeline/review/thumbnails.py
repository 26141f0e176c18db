"""Section 5: which test images are shown, and their thumbnails."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from pipeline.config import PipelineConfig
from pipeline.review import label_errors
from pipeline.review.contents import Picture, Pictures
from schema import features

MOST_MISTAKES: Final = 24
MOST_LABEL_ERRORS: Final = 24
MOST_OF_A_CELL: Final = 6  # in each tranche
MOST_SHOWN: Final = 220

THUMBNAIL_SIDE: Final = 160
THUMBNAIL_QUALITY: Final = 70

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """Which rows of the predictions are shown.

    Attributes:
      rows: the predictions by tranche and name, with `actual` and `predicted` (indices
        into `features.POSTURES`) and `label_quality`; the positions below are into it.
      shown: all that are shown: mistakes, label errors, then the others.
      mistakes: the most confident errors, worst first.
      label_errors: likely label errors, likeliest first.
      mistake_count: how many errors there are in all.
      label_error_count: how many labels are doubted in all.
    """

    rows: pd.DataFrame
    shown: list[int]
    mistakes: list[int]
    label_errors: list[int]
    mistake_count: int
    label_error_count: int


def choose(predictions: pd.DataFrame) -> Choice:
    """Chooses what is shown; the same rows in any order give the same choice.

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
    return Choice(
        rows,
        shown=list(dict.fromkeys(chosen))[:MOST_SHOWN],
        mistakes=mistakes,
        label_errors=suspects,
        mistake_count=len(wrong),
        label_error_count=len(doubted),
    )


def pictures(
    predictions: pd.DataFrame, split_folder: Path, model_path: Path | None, config: PipelineConfig
) -> Pictures:
    """Draws the pictures of the page in one pass over the test split.

    Args:
      predictions: as in `choose`.
      split_folder: TFRecords of the test split, the ExampleGen's output.
      model_path: the trained Keras model, for Grad-CAM; None if there is none.
      config: the settings of the run.

    Raises:
      KeyError: the split lacks a picture that the model was asked about.
    """
    choice = choose(predictions)
    explained = {*choice.mistakes, *choice.label_errors}
    drawn = dict(_draw(choice, explained, split_folder, model_path, config.fit))
    place = {row: index for index, row in enumerate(choice.shown)}
    cells: dict[tuple[str, str], list[int]] = {}
    shown: list[Picture] = []
    for row in choice.shown:
        picture = _picture(choice.rows.iloc[row], *drawn[row])
        cells.setdefault((picture.actual, picture.predicted), []).append(len(shown))
        shown.append(picture)
    return Pictures(
        shown=shown,
        mistakes=[place[row] for row in choice.mistakes],
        label_errors=[place[row] for row in choice.label_errors],
        cells=cells,
        label_error_count=choice.label_error_count,
        mistake_count=choice.mistake_count,
    )


def _of_cells(rows: pd.DataFrame, by_confidence: Ints) -> list[int]:
    """Some of each cell of the confusion matrix in each tranche, few of one clip."""
    ordered = rows.loc[by_confidence, ["actual", "predicted", features.TRANCHE, features.CLIP]]
    cell = ["actual", "predicted", features.TRANCHE]
    frame = ordered.groupby([*cell, features.CLIP]).cumcount()
    # The first frame of each clip comes before the second of any.
    ordered = ordered.loc[frame.sort_values(kind="stable").index]
    turn = ordered.groupby(cell).cumcount()
    turn = turn[turn < MOST_OF_A_CELL]
    # One of every cell and tranche comes before two of any.
    return [int(row) for row in turn.sort_values(kind="stable").index]


def _draw(
    choice: Choice, explained: set[int], split_folder: Path, model_path: Path | None, fit: str
) -> Iterator[tuple[int, tuple[bytes, bytes | None]]]:
    """Yields position, thumbnail and attention of what is shown, in the order of the files."""
    if not choice.shown:
        return
    # In here: TensorFlow takes seconds to import, and `choose` does without.
    from components.training import network
    from pipeline.review import grad_cam

    explain = None
    if model_path and explained:
        explain = grad_cam.GradCam(network.load(model_path))
    for row, jpeg in _stored(choice, split_folder):
        picture = Image.open(io.BytesIO(jpeg))
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
        attention = None
        if explain and row in explained:
            attention = _jpeg(grad_cam.overlay(picture, explain(jpeg, fit), fit))
        yield row, (_jpeg(picture), attention)


def _stored(choice: Choice, split_folder: Path) -> Iterator[tuple[int, bytes]]:
    """Reads the split record by record and yields the pictures that are shown."""
    # In here: both take seconds to import, and `choose` does without.
    import tensorflow as tf

    from components.examples import record_reader
    from components.examples.example_gen import FILE_PREFIX

    names = choice.rows.loc[choice.shown, [features.TRANCHE, features.FILE_NAME]]
    wanted = {tuple(map(str.encode, key)): row for row, *key in names.itertuples()}
    files = sorted(map(str, split_folder.glob(f"{FILE_PREFIX}*")))
    for record in record_reader.read(files).as_numpy_iterator():
        content = tf.train.Example.FromString(record).features.feature
        tranche, name, image = (
            content[column].bytes_list.value[0]
            for column in (features.TRANCHE, features.FILE_NAME, features.IMAGE)
        )
        row = wanted.get((tranche, name))
        if row is not None:
            yield row, image


def _jpeg(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    return encoded.getvalue()


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
