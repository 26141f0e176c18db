"""The answers of the model that a page compares with, beside the candidate's.

The Predictor asks the candidate, the model in service and the reference model about the same test
images. For `lookdeep review --against RUN`, the answers that another run has stored take the place
of those of the model in service.
"""

from typing import Final

import pandas as pd

from components.errors import InputError
from components.examples import parquet
from components.judging import comparison
from schema import features
from schema.features import Role

# The columns that `beside` adds.
OTHER: Final = ("other_answer", "other_confidence", "other_unsure")

# An image is the same in two runs if nothing of this differs.
_SAME_IMAGE: Final = [features.TRANCHE, features.FILE_NAME, features.CLIP, features.POSTURE]


def beside(predictions: pd.DataFrame) -> pd.DataFrame:
    """Adds the answers to compare with: of the model in service, else of the reference.

    Args:
      predictions: a row an image, with the columns of `parquet.PREDICTIONS`; runs of earlier
        versions have none of other models.

    Returns:
      The rows with the columns of `OTHER`: answer, confidence, and whether it is unsure; None
      where no other model was asked.
    """
    role = _role(predictions)
    if role is None:
        return predictions.assign(**dict.fromkeys(OTHER))
    named = _columns(role)
    found = predictions[named].astype(object)
    found = found.where(found.notna(), None)
    return predictions.assign(**dict(zip(OTHER, map(found.get, named), strict=True)))


def model(predictions: pd.DataFrame) -> str:
    """What the model that `beside` takes the answers of is called within a sentence."""
    return "the reference model" if _role(predictions) == "reference" else "the model in service"


def of_run(predictions: pd.DataFrame, other: pd.DataFrame, name: str) -> pd.DataFrame:
    """Puts another run's answers in the place of those of the model in service.

    Args:
      predictions: of this run, as in `beside`.
      other: of the other run, the same.
      name: of the other run, for the message.

    Returns:
      The rows of this run, with the answer to the image of the same tranche, name, clip and label
      in the other run, null where that has none.

    Raises:
      InputError: the two runs have no test image in common.
    """
    named = _columns("in_service")
    confidence = other[list(features.POSTURES)].max(axis=1)
    theirs = other[_SAME_IMAGE].copy()
    theirs[named[0]], theirs[named[1]] = comparison.answers(other), confidence
    theirs[named[2]] = other[features.UNSURE]
    mine = predictions.drop(columns=named, errors="ignore")
    joined = mine.merge(theirs, how="left", on=_SAME_IMAGE)
    if joined[parquet.answer_of("in_service")].isna().all():
        raise InputError(
            f"No test image of this run is a test image of run {name} with the same label, so their"
            " models cannot be compared; name a run that was tested on images of the same tranches."
        )
    return joined


def _columns(role: Role) -> list[str]:
    return [parquet.answer_of(role), parquet.confidence_of(role), parquet.unsure_of(role)]


def _role(predictions: pd.DataFrame) -> Role | None:
    for role in features.ROLES:
        answer = parquet.answer_of(role)
        if answer in predictions and predictions[answer].notna().any():
            return role
    return None
