"""What a benchmark has to reach: a line for each goal on the screen, and JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """A figure and what it has to be.

    Attributes:
      name: what is measured, with its unit.
      value: what was measured.
      goal: the bound.
      met: whether the value is within the bound.
    """

    name: str
    value: float
    goal: float
    met: bool

    @classmethod
    def at_most(cls, name: str, value: float, goal: float) -> "Goal":
        """A goal that is met up to the bound."""
        return cls(name, float(value), goal, bool(value <= goal))

    @classmethod
    def at_least(cls, name: str, value: float, goal: float) -> "Goal":
        """A goal that is met from the bound on."""
        return cls(name, float(value), goal, bool(value >= goal))

    def line(self) -> str:
        """The goal as a benchmark prints it."""
        return f"{'met' if self.met else 'missed'}: {self.name}: {self.value:g}, goal {self.goal:g}"


def write(path: Path | None, benchmark: str, goals: Sequence[Goal]) -> None:
    """Prints a line for each goal and writes them all as JSON.

    Args:
      path: the JSON file, or None to print only.
      benchmark: name of the benchmark's module.
      goals: in the order in which they are told.
    """
    for goal in goals:
        print(goal.line())
    if path:
        content = {"benchmark": benchmark, "goals": [asdict(goal) for goal in goals]}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
