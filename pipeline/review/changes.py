"""Which answers are others than those of the model that the new one is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.judging import comparison
from pipeline.review import formats, other_answers
from pipeline.review.section import Section, Table
from schema import features, slices

Confusion = list[list[int]]


@dataclass(frozen=True)
class Count:
    """Test images, and the clips that they are in."""

    images: int
    clips: int

    def __str__(self) -> str:
        if not self.images:
            return "0"
        clips = f"{formats.count(self.clips)} {'clip' if self.clips == 1 else 'clips'}"
        return f"{formats.count(self.images)} in {clips}"


@dataclass(frozen=True)
class Part:
    """The changed answers of a part of the test images.

    Attributes:
      name: for people.
      images: all of its images that both models answered.
      changed: those with another answer.
      lost: those that were right and are wrong now.
      gained: those that were wrong and are right now.
    """

    name: str
    images: int
    changed: Count
    lost: Count
    gained: Count


@dataclass(frozen=True)
class Kind:
    """One kind of error, for example Lying taken for Sitting.

    Attributes:
      actual: the label.
      answer: the wrong answer.
      before: images on which the other model makes it.
      now: images on which the new model makes it.
      lost: of these, those that the other model has right.
      gained: of those before, the ones that the new model has right.
    """

    actual: str
    answer: str
    before: Count
    now: Count
    lost: Count
    gained: Count

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.actual} taken for {self.answer}"


@dataclass(frozen=True)
class Changes(Section):
    """The answers of two models to the same test images.

    Attributes:
      other: what the other model is called within a sentence: `the model in service`.
      parts: all test images that both answered, then by tranche, posture, and both.
      kinds: the errors that one of the models makes, the most harmful kind first.
      before: the other model's confusion matrix, [actual][answer] as in `features.POSTURES`.
      now: the new model's.
      left_out: test images of this run that the other model did not answer.
    """

    other: str
    parts: list[Part]
    kinds: list[Kind]
    before: Confusion
    now: Confusion
    left_out: int

    @property
    def whole(self) -> Part:
        """All test images that both models answered."""
        return self.parts[0]

    def tables(self) -> dict[str, Table]:
        """Errors by kind, changes by slice, and the confusion matrices."""
        difference = (np.array(self.now) - np.array(self.before)).tolist()
        return {
            "changed-kinds": Table(
                "Test images by kind of error, the most harmful kind first",
                [
                    "Error",
                    f"By {self.other}",
                    "By the new model",
                    "Were right, are wrong now",
                    "Were wrong, are right now",
                ],
                [
                    [kind.name, *map(str, (kind.before, kind.now, kind.lost, kind.gained))]
                    for kind in self.kinds
                ],
                range(1, 5),
            ),
            "changed-parts": Table(
                "Changed answers by slice",
                [
                    "Slice",
                    "Images",
                    "Changed answers",
                    "Were right, are wrong now",
                    "Were wrong, are right now",
                ],
                [
                    [
                        part.name,
                        formats.count(part.images),
                        formats.percent(part.changed.images / part.images),
                        str(part.lost),
                        str(part.gained),
                    ]
                    for part in self.parts
                ],
                range(1, 5),
            ),
            "confusion-before": _matrix(f"Answers of {self.other}", self.before),
            "confusion-now": _matrix("Answers of the new model", self.now),
            "confusion-difference": _matrix("The new model's minus the other's", difference, True),
        }


def changes(predictions: pd.DataFrame, against: str | None = None) -> Changes | None:
    """Compares two models' answers image by image.

    Args:
      predictions: a row an image, with the columns of `components.examples.parquet.PREDICTIONS`.
      against: the run whose answers `other_answers.of_run` has put there; None if none.

    Returns:
      None if no other model answered any of the images.
    """
    rows = other_answers.beside(predictions)
    rows = rows.assign(now=comparison.answers(rows))
    rows = rows[rows["other_answer"].notna()]
    if rows.empty:
        return None
    rows = rows.assign(
        changed=rows["now"] != rows["other_answer"],
        was_right=rows["other_answer"] == rows[features.POSTURE],
        is_right=rows["now"] == rows[features.POSTURE],
    )
    return Changes(
        other=f"the model of run {against}" if against else other_answers.model(predictions),
        parts=[
            _part(slices.name(key), part)
            for columns in comparison.FAMILIES
            for key, part in comparison.cut(rows, columns)
        ],
        kinds=list(_kinds(rows)),
        before=_confusion(rows, "other_answer"),
        now=_confusion(rows, "now"),
        left_out=len(predictions) - len(rows),
    )


def _part(name: str, rows: pd.DataFrame) -> Part:
    return Part(
        name=name,
        images=len(rows),
        changed=_count(rows[rows["changed"]]),
        lost=_count(rows[rows["was_right"] & ~rows["is_right"]]),
        gained=_count(rows[~rows["was_right"] & rows["is_right"]]),
    )


def _kinds(rows: pd.DataFrame) -> Iterator[Kind]:
    for actual, answer in features.ERRORS_BY_HARM:
        labelled = rows[rows[features.POSTURE] == actual]
        before = labelled[labelled["other_answer"] == answer]
        now = labelled[labelled["now"] == answer]
        if len(before) or len(now):
            yield Kind(
                actual,
                answer,
                before=_count(before),
                now=_count(now),
                lost=_count(now[now["was_right"]]),
                gained=_count(before[before["is_right"]]),
            )


def _count(rows: pd.DataFrame) -> Count:
    return Count(len(rows), rows[features.CLIP].nunique())


def _confusion(rows: pd.DataFrame, answer: str) -> Confusion:
    cells = rows.groupby([features.POSTURE, answer]).size().to_dict()
    return [
        [int(cells.get((actual, guess), 0)) for guess in features.POSTURES]
        for actual in features.POSTURES
    ]


def _matrix(caption: str, cells: Confusion, signed: bool = False) -> Table:
    write = formats.change if signed else formats.count
    return Table(
        caption,
        ["Label", *features.POSTURES],
        [[actual, *map(write, row)] for actual, row in zip(features.POSTURES, cells, strict=True)],
        range(1, len(features.POSTURES) + 1),
    )
