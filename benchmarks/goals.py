"""What a benchmark has to reach, and whether it does."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A figure and its bound.

    Attributes:
      name: what is measured, with its unit.
      value: what was measured.
      bound: what it should reach.
      met: whether it does.
    """

    name: str
    value: float
    bound: float
    met: bool

    @classmethod
    def at_most(cls, name: str, value: float, bound: float) -> "Goal":
        """A goal that is met up to the bound."""
        return cls(name, value, bound, value <= bound)

    @classmethod
    def at_least(cls, name: str, value: float, bound: float) -> "Goal":
        """A goal that is met from the bound on."""
        return cls(name, value, bound, value >= bound)


def show(goals: Iterable[Goal]) -> None:
    """Prints one line for each goal."""
    for goal in goals:
        result = "met" if goal.met else "missed"
        print(f"{result}: {goal.name}: {goal.value:g}, goal {goal.bound:g}")
