"""What the AcceptanceGate finds: a plan's floors and comparisons, and how a model met them."""

import hashlib
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from schema.features import Role
from schema.slices import SliceKey

Answer = Literal["no_worse", "worse", "untold"]

_FILE_NAME: Final = "decision.json"
_FROZEN: Final = ConfigDict(frozen=True)


class Recall(BaseModel):
    """How many images of a posture the candidate found.

    Attributes:
      posture: of the images.
      images: that are labelled so.
      clips: that they are from.
      right: images that the candidate found.
      low: lower end of the 95 % interval of the recall.
      high: its upper end.
      floor: the least recall that the plan asks for.
      passed: None where there are too few clips to decide, and the interval holds the floor.
    """

    model_config = _FROZEN

    posture: str
    images: int
    clips: int
    right: int
    low: float
    high: float
    floor: float
    passed: bool | None

    @property
    def recall(self) -> float:
        """The share that was found, 0 to 1."""
        return self.right / self.images


class Comparison(BaseModel):
    """The candidate and another model on the images of a slice.

    Attributes:
      against: the other model.
      place: the slice.
      images: that both could be right about.
      clips: that they are from.
      right: images that the candidate got right.
      gained: of them, those that the other got wrong.
      lost: images that only the other got right.
      low: lower end of the 95 % interval of the difference (`intervals.difference_interval`).
      high: its upper end.
      margin: the loss that the plan allows; None for a slice that is only described.
      answer: whether the loss is shown to be within the margin, or beyond it, after Holm's
        correction for the slices of the family; None for a slice that is only described.
      confirmed: whether all earlier families were shown to be no worse; else the answer
        describes, and does not prove, that a slice is no worse.
      decides: whether the slice has clips enough for its estimate to decide.
      passed: None where the slice does not decide, and is not proven to be worse.
    """

    model_config = _FROZEN

    against: Role
    place: SliceKey
    images: int
    clips: int
    right: int
    gained: int
    lost: int
    low: float
    high: float
    margin: float | None = None
    answer: Answer | None = None
    confirmed: bool = False
    decides: bool = False
    passed: bool | None = None

    @property
    def difference(self) -> float:
        """The candidate's accuracy less the other's, -1 to 1."""
        return (self.gained - self.lost) / self.images


class Compared(BaseModel):
    """Another model, as the test images show it.

    Attributes:
      model_id: its number in ML Metadata.
      left_out: test images of a posture that it does not know; they are in no comparison with it.
      changed: share of the other test images to which the candidate gives another answer; None
        if there is none.
    """

    model_config = _FROZEN

    model_id: int
    left_out: int
    changed: float | None


class Decision(BaseModel):
    """Whether a candidate met its acceptance plan, as far as the gate asks.

    Attributes:
      plan: SHA-256 of the plan.
      images: test images.
      clips: that they are from.
      right: images that the candidate got right.
      recalls: by posture, in the order of `features.POSTURES`.
      comparisons: by model, overall first, then in the order of the slices.
      others: the models that it was compared with.
      sign_off: why a person has to decide, a sentence each; empty if nobody has to.
    """

    model_config = _FROZEN

    plan: str
    images: int
    clips: int
    right: int
    recalls: list[Recall]
    comparisons: list[Comparison]
    others: dict[Role, Compared]
    sign_off: list[str]

    @property
    def passed(self) -> bool:
        """Whether nothing that decides refuses the candidate."""
        judged: list[Recall | Comparison] = [*self.recalls, *self.comparisons]
        return all(each.passed is not False for each in judged)

    @property
    def sha256(self) -> str:
        """Of all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def write(decision: Decision, folder: Path) -> None:
    """Writes a decision into the folder of its artifact."""
    (folder / _FILE_NAME).write_text(decision.model_dump_json(indent=2), encoding="utf-8")


def read(folder: Path) -> Decision:
    """Reads the decision in the folder of an artifact."""
    return Decision.model_validate_json((folder / _FILE_NAME).read_bytes())
