"""What a model gets wrong, by kind and harm, and how often it finds each posture."""

from dataclasses import dataclass

import pandas as pd

from components.examples import parquet
from components.judging import comparison
from pipeline.review.changes import Count
from pipeline.runs.run import Run
from schema import features
from schema.features import ROLES, Role


@dataclass(frozen=True)
class KindOfError:
    """Test images of one posture that are taken for another.

    Attributes:
      actual: their label.
      answer: what they are taken for.
      new: by the candidate.
      old: by the other model; None if there is none.
    """

    actual: str
    answer: str
    new: Count
    old: Count | None


@dataclass(frozen=True)
class Found:
    """The share of a posture's test images that a model finds, 0 to 1.

    Attributes:
      posture: of the images.
      images: of the posture.
      new: the candidate's recall.
      low: lower end of its 95 % interval; None if there are too few clips for one.
      high: its upper end.
      old: the other model's recall; None if there is none, or it does not know the posture.
      floor: the least that the plan asks for; None without a plan.
    """

    posture: str
    images: int
    new: float
    low: float | None
    high: float | None
    old: float | None
    floor: float | None


@dataclass(frozen=True)
class Errors:
    """The errors of the candidate beside those of another model.

    Attributes:
      against: the other model; None if there is none.
      kinds: the kinds of error that one of them makes, the most harmful first; those with images
        of Lying also if neither does.
      recalls: by posture, Lying first.
    """

    against: Role | None
    kinds: list[KindOfError]
    recalls: list[Found]


def errors(run: Run, predictions: pd.DataFrame | None) -> Errors:
    """Counts the errors on the test images.

    Args:
      run: its decision and evaluation have the recalls.
      predictions: a row for each test image, with the columns of `parquet.PREDICTIONS`; in runs
        of an earlier time those of other models are not there. None if they are gone.
    """
    decision = run.decision
    against = next((role for role in ROLES if decision and role in decision.others), None)
    kinds = [] if predictions is None else _kinds(predictions, against)
    return Errors(
        against,
        [
            kind
            for kind in kinds
            if kind.actual == features.LYING or kind.new.images or (kind.old and kind.old.images)
        ],
        sorted(_recalls(run, against), key=lambda found: found.posture != features.LYING),
    )


def _kinds(predictions: pd.DataFrame, against: Role | None) -> list[KindOfError]:
    table = predictions.assign(new=comparison.answers(predictions))
    return [
        KindOfError(
            actual,
            answer,
            _tally(table, actual, "new", answer),
            _tally(table, actual, parquet.answer_of(against), answer) if against else None,
        )
        for actual, answer in features.ERRORS_BY_HARM
    ]


def _tally(table: pd.DataFrame, actual: str, column: str, answer: str) -> Count:
    rows = table[(table[features.POSTURE] == actual) & (table[column] == answer)]
    return Count(len(rows), rows[features.CLIP].nunique())


def _recalls(run: Run, against: Role | None) -> list[Found]:
    if run.decision is None:
        slices = run.evaluation.slices if run.evaluation else {}
        return [
            Found(
                posture,
                metrics.example_count,
                metrics.accuracy,
                metrics.accuracy_low,
                metrics.accuracy_high,
                old=None,
                floor=None,
            )
            for posture in features.POSTURES
            if (metrics := slices.get(((features.POSTURE, posture),)))
        ]
    old = {
        each.place: each.right / each.images - each.difference
        for each in run.decision.comparisons
        if each.against == against
    }
    return [
        Found(
            each.posture,
            each.images,
            each.recall,
            each.low,
            each.high,
            old.get(((features.POSTURE, each.posture),)),
            each.floor,
        )
        for each in run.decision.recalls
    ]
