"""Judges a candidate by a plan, from the answers for each test image; pure functions."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import intervals
from components.examples import parquet
from components.judging.acceptance import Acceptance, Margins
from components.judging.decision import (
    Answer,
    Compared,
    Comparison,
    Decision,
    Recall,
)
from components.judging.plan import Plan
from schema import features, slices
from schema.features import ROLES, Role
from schema.slices import SliceKey

# The families of slices with a margin, in the order in which they are tested, and the margin's
# name. Slices by other columns are only described.
FAMILIES: Final[dict[tuple[str, ...], str]] = {
    (): "overall",
    (features.TRANCHE,): "tranche",
    (features.POSTURE,): "posture",
    (features.TRANCHE, features.POSTURE): "posture",
}

# Of each of the two one-sided tests: an interval of 95 % leaves half of the rest on either side.
_ALPHA: Final = 0.025
_ROUNDING: Final = 1e-9  # 0.86 - 0.87 < -0.01

_ANSWER: Final = "candidate_answer"

Flags = npt.NDArray[np.bool_]


def judge(
    table: pd.DataFrame,
    plan: Plan,
    models: dict[Role, int],
) -> Decision:
    """Asks whether a candidate meets its plan.

    Args:
      table: a row for each test image, with the columns of `parquet.PREDICTIONS`.
      plan: as it was published before training.
      models: the numbers in ML Metadata of the models that there are to compare with.
    """
    acceptance = plan.acceptance
    table = table.assign(**{_ANSWER: answers(table)})
    comparisons = [
        each
        for role in ROLES
        if role in models
        for each in compare(table, role, getattr(acceptance, role), acceptance)
    ]
    return Decision(
        plan=plan.sha256,
        images=len(table),
        clips=table[features.CLIP].nunique(),
        right=int(_right(table, _ANSWER).sum()),
        recalls=list(recalls(table, acceptance)),
        comparisons=comparisons,
        others={role: _compared(table, role, models[role]) for role in ROLES if role in models},
        sign_off=list(_why_sign_off(comparisons, acceptance)),
    )


def answers(table: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The candidate's answers, the postures of the highest probability."""
    probabilities = np.nan_to_num(table[list(features.POSTURES)].to_numpy(np.float64))
    return np.array(features.POSTURES, object)[probabilities.argmax(axis=1)]


def recalls(table: pd.DataFrame, acceptance: Acceptance) -> Iterator[Recall]:
    """Judges the recall of each posture that the test split has, in order.

    Args:
      table: as for `judge`, with the candidate's answers.
      acceptance: the plan's settings.
    """
    for posture in features.POSTURES:
        rows = table[table[features.POSTURE] == posture]
        if rows.empty:
            continue
        floor = acceptance.recall_floors[posture]
        images, right = by_clip(rows, _right(rows, _ANSWER))
        low, high = intervals.accuracy_interval(images, right)
        passed: bool | None = None
        if len(images) >= acceptance.least_clips:
            passed = bool(right.sum() / images.sum() >= floor - _ROUNDING)
        elif high < floor:
            passed = False
        yield Recall(
            posture=posture,
            images=len(rows),
            clips=len(images),
            right=int(right.sum()),
            low=low,
            high=high,
            floor=floor,
            passed=passed,
        )


def compare(
    table: pd.DataFrame,
    role: Role,
    margins: Margins,
    acceptance: Acceptance,
) -> list[Comparison]:
    """Compares the candidate with another model, slice by slice.

    Args:
      table: as for `judge`, with the candidate's answers.
      role: the other model.
      margins: what the candidate may lose to it.
      acceptance: the plan's settings.

    Returns:
      In the order of `slices.COLUMNS`. A slice of which the other model knows no posture is left
      out.
    """
    table = table[_known(table, role)]
    found: dict[tuple[str, ...], list[Comparison]] = {}
    confirmed = True
    for columns in dict.fromkeys([*FAMILIES, *slices.COLUMNS]):
        parts = list(cut(table, columns))
        if columns not in FAMILIES:
            found[columns] = [_counted(rows, role, key)[0] for key, rows in parts]
            continue
        margin = getattr(margins, FAMILIES[columns])
        counted = [_counted(rows, role, key, margin) for key, rows in parts]
        judged = _family([score for _, score in counted])
        found[columns] = [
            _judged(each, margin, answer, confirmed, acceptance)
            for (each, _), answer in zip(counted, judged, strict=True)
        ]
        confirmed &= all(each.answer == "no_worse" for each in found[columns] if each.decides)
    return [each for columns in slices.COLUMNS for each in found[columns]]


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which of several hypotheses are rejected, so that all are right with 1 - `alpha`.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
    Statistics 6:65 (1979).

    Args:
      p_values: one for each hypothesis.
      alpha: the probability, at most, of rejecting one that is true.
    """
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    for done, at in enumerate(order):
        if p_values[at] > alpha / (len(order) - done):
            break
        rejected[at] = True
    return rejected


def _family(scores: Sequence[float]) -> list[Answer]:
    """The answers for the slices of a family, from their scores (`intervals.loss_score`)."""
    below = [NormalDist().cdf(score) for score in scores]
    no_worse = holm(below, _ALPHA)
    worse = holm([1 - p for p in below], _ALPHA)
    return [
        "no_worse" if shown else "worse" if refuted else "untold"
        for shown, refuted in zip(no_worse, worse, strict=True)
    ]


def _judged(
    counted: Comparison, margin: float, answer: Answer, confirmed: bool, acceptance: Acceptance
) -> Comparison:
    decides = not counted.place or counted.clips >= acceptance.least_clips
    passed: bool | None = None
    if answer == "worse":
        passed = False
    elif decides and acceptance.evidence == "proven":
        passed = answer == "no_worse"
    elif decides:
        passed = counted.difference >= -margin - _ROUNDING
    return counted.model_copy(
        update={
            "margin": margin,
            "answer": answer,
            "confirmed": confirmed,
            "decides": decides,
            "passed": passed,
        }
    )


def _why_sign_off(comparisons: list[Comparison], acceptance: Acceptance) -> Iterator[str]:
    if acceptance.sign_off == "always":
        yield "The plan asks a person to decide about every model."
    elif acceptance.sign_off == "unproven":
        unproven = sum(each.decides and each.answer == "untold" for each in comparisons)
        if unproven:
            count = "A comparison" if unproven == 1 else f"{unproven} comparisons"
            yield f"{count} could not prove that the model is no worse, so a person has to decide."


def cut(table: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[tuple[SliceKey, pd.DataFrame]]:
    """Cuts a table into slices.

    Args:
      table: a row an image.
      columns: to cut by; none for the whole table.

    Yields:
      Each slice and its rows, in the order in which people list the values.
    """
    if not columns:
        if not table.empty:
            yield (), table
        return
    by: Any = list(columns) if len(columns) > 1 else columns[0]
    parts = {
        tuple(zip(columns, map(str, values if len(columns) > 1 else [values]), strict=True)): rows
        for values, rows in table.groupby(by, sort=False)
    }
    for key in sorted(parts, key=slices.order):
        yield key, parts[key]


def _counted(
    rows: pd.DataFrame, role: Role, place: SliceKey, margin: float = 0.0
) -> tuple[Comparison, float]:
    """Counts what the models got right, and scores the loss against the margin."""
    ours, theirs = _right(rows, _ANSWER), _right(rows, parquet.answer_of(role))
    images, gained, lost = by_clip(rows, ours & ~theirs, theirs & ~ours)
    low, high = intervals.difference_interval(images, gained, lost)
    comparison = Comparison(
        against=role,
        place=place,
        images=len(rows),
        clips=len(images),
        right=int(ours.sum()),
        gained=int(gained.sum()),
        lost=int(lost.sum()),
        low=low,
        high=high,
    )
    return comparison, intervals.loss_score(images, gained, lost, margin)


def by_clip(rows: pd.DataFrame, *flags: Flags) -> tuple[intervals.Counts, ...]:
    """Counts by clip.

    Args:
      rows: an image each.
      *flags: [images], true or false.

    Returns:
      [clips], the images of each clip, and how many of them have each flag.
    """
    _, clips = np.unique(rows[features.CLIP].to_numpy(str), return_inverse=True)
    return (
        np.bincount(clips).astype(float),
        *(np.bincount(clips, each.astype(float)) for each in flags),
    )


def _right(rows: pd.DataFrame, column: str) -> Flags:
    return (rows[column] == rows[features.POSTURE]).to_numpy(bool)


def _known(table: pd.DataFrame, role: Role) -> Flags:
    """Which images have a label that the other model knows."""
    return table[parquet.answer_of(role)].notna().to_numpy(bool)


def _compared(table: pd.DataFrame, role: Role, model_id: int) -> Compared:
    known = table[_known(table, role)]
    changed = known[parquet.answer_of(role)] != known[_ANSWER]
    return Compared(
        model_id=model_id,
        left_out=len(table) - len(known),
        changed=float(changed.mean()) if len(changed) else None,
    )
