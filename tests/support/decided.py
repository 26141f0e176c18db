"""Decisions of the AcceptanceGate, made by hand."""

from typing import Any

from components.judging.acceptance import Acceptance
from components.judging.decision import Compared, Comparison, Decision, Recall
from components.judging.plan import Plan, Provable
from schema import features
from schema.features import Role
from schema.slices import SliceKey

TWO: SliceKey = ((features.TRANCHE, "2"),)
LYING: SliceKey = ((features.POSTURE, features.LYING),)
LYING_IN_TWO: SliceKey = (*TWO, *LYING)


def compared(place: SliceKey = (), lost: int = 0, images: int = 1000, **rest: Any) -> Comparison:
    """A comparison with the model in service that lost some images, and passed.

    Args:
      place: the slice.
      lost: images that only the other model gets right.
      images: in the slice.
      **rest: other attributes.
    """
    told = {
        "against": "in_service",
        "clips": 120,
        "right": images // 2,
        "gained": 0,
        "low": -lost / images - 0.02,
        "high": -lost / images + 0.01,
        "margin": 0.05,
        "answer": "untold",
        "decides": True,
        "passed": True,
    }
    return Comparison(place=place, images=images, lost=lost, **told | rest)


def recall(right: int, images: int = 100, **rest: Any) -> Recall:
    """The recall of Lying."""
    told = {"posture": features.LYING, "clips": 120, "low": 0.5, "high": 0.99, "floor": 0.87}
    passed = rest.pop("passed", right >= 0.87 * images)
    return Recall(images=images, right=right, passed=passed, **told | rest)


def decision(*found: Recall | Comparison, **rest: Any) -> Decision:
    """A decision of recalls and comparisons; model 7 is in service, model 3 the reference."""
    comparisons = [each for each in found if isinstance(each, Comparison)]
    numbers: dict[Role, int] = {"in_service": 7, "reference": 3}
    against = {each.against for each in comparisons}
    told = {
        "plan": "a" * 64,
        "images": 1000,
        "clips": 120,
        "right": 900,
        "sign_off": [],
        "others": {
            role: Compared(model_id=number, left_out=0, changed=0.1)
            for role, number in numbers.items()
            if role in against
        },
    }
    return Decision(
        recalls=[each for each in found if isinstance(each, Recall)],
        comparisons=comparisons,
        **told | rest,
    )


def plan(**settings: Any) -> Plan:
    """A plan of two tranches."""
    return Plan(
        acceptance=Acceptance(**settings),
        test_clips={"1": "1a" * 32, "2": "2a" * 32},
        provable=[
            Provable(place=place, images=images, clips=clips, margin=margin)
            for place, images, clips, margin in (((), 1000, 120, 0.04), (TWO, 300, 40, 0.12))
        ],
    )
