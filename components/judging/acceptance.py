"""The settings that decide whether a model may replace the one in service: `[acceptance]`."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schema import features

Evidence = Literal["estimate", "proven"]
SignOff = Literal["never", "unproven", "always"]

_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True)
_Margin = Annotated[float, Field(ge=0, le=1)]
_Floor = Annotated[float, Field(ge=0, le=1.01)]  # above 1 nothing is pushed

# Someone who lies and is taken for sitting or standing is a patient who fell unseen. So Lying must
# be found as often as answers have to be right overall, the others as often as in each tranche.
_RECALL_FLOORS: Final = dict.fromkeys(features.POSTURES, 0.75) | {features.LYING: 0.87}


class Margins(BaseModel):
    """How much of its accuracy a candidate may lose to another model, as shares of all images.

    Attributes:
      overall: on all test images.
      tranche: in each tranche.
      posture: in each posture, and in each posture by tranche.
    """

    model_config = _STRICT

    overall: _Margin = 0.01
    tranche: _Margin = 0.05
    posture: _Margin = 0.05


class ReferenceMargins(Margins):
    """The same against the reference, which small losses of many pushes add up against."""

    overall: _Margin = 0.02


class Acceptance(BaseModel):
    """What is asked of a model; the plan says so before it is trained.

    Attributes:
      accuracy_floor: least accuracy on all test images.
      tranche_accuracy_floor: least accuracy in each tranche.
      coverage_floor: least share of the test images that the model is not unsure about.
      recall_floors: least recall by posture; postures that are not named keep the default.
      in_service: margins against the model in service.
      reference: margins against the reference.
      reference_run: the run whose model is the reference; empty for the first that was pushed.
      least_clips: from how many clips on a slice decides. One with fewer refuses a model only if
        its interval does: all of it is below the floor, or worse than the margin.
      evidence: whether a loss is judged by its estimate, or has to be proven to be within the
        margin.
      sign_off: when a person decides about a model that every gate has passed: never, where a
        comparison has not proven it to be no worse, or always.
    """

    model_config = _STRICT

    accuracy_floor: _Floor = 0.87
    tranche_accuracy_floor: _Floor = 0.75
    coverage_floor: _Floor = 0.5
    recall_floors: dict[str, _Floor] = _RECALL_FLOORS
    in_service: Margins = Margins()
    reference: ReferenceMargins = ReferenceMargins()
    reference_run: str = ""
    least_clips: int = Field(100, ge=1)
    evidence: Evidence = "estimate"
    sign_off: SignOff = "never"

    @field_validator("recall_floors")
    @classmethod
    def _of_known_postures(cls, floors: dict[str, float]) -> dict[str, float]:
        for posture in floors:
            if posture not in features.POSTURES:
                raise ValueError(f"there is no posture {posture}; use {features.POSTURES}")
        return _RECALL_FLOORS | floors
