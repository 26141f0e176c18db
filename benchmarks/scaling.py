"""Cost per image of each stage as the number of images grows.

    python -m benchmarks.scaling [--data ../shared/data] [--counts 120 600 6000] [--json FILE]

Each stage runs in a process of its own (benchmarks/stages.py). What a stage costs however
many images there are (imports, start-up, drawing of graphs) is measured by the smallest
count and taken out: cost per image is what further images add, divided by how many they
are. It is told for each count beyond the smallest, and the fixed cost beside it.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import goals, stages
from benchmarks.goals import Goal

# Two measurements of the same work differ by so much.
MOST_GROWTH: Final = 1.1
# Below this, a stage's cost per image is lost in the noise of its fixed cost.
LEAST_MS: Final = 1.0


def per_image(counts: Sequence[int], costs: Sequence[float]) -> list[float]:
    """What an image adds, from each count to the next.

    Args:
      counts: numbers of images, ascending.
      costs: seconds at each of them.

    Returns:
      Milliseconds an image, one fewer than counts.
    """
    steps = zip(pairwise(counts), pairwise(costs), strict=True)
    return [1000 * (after - before) / (more - fewer) for (fewer, more), (before, after) in steps]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--counts", type=int, nargs="+", default=[120, 600, 6000])
    parser.add_argument("--json", type=Path, help="file for the goals")
    given = parser.parse_args(arguments)
    counts = sorted(given.counts)
    if len(counts) < 3:
        parser.error("--counts needs three numbers: the smallest tells the fixed cost")
    measured = [stages.measure(given.data.resolve(), count) for count in counts]
    table = Table("stage", "fixed, CPU s", title="CPU and wall-clock time that an image adds, ms")
    for clock in ("CPU", "wall"):
        for fewer, more in pairwise(counts):
            table.add_column(f"{clock}, {fewer:,} to {more:,}", justify="right")
    reached = []
    for stage in stages.STAGES[1:]:
        cpu = [column[stage].cpu for column in measured]
        ms = per_image(counts, cpu)
        wall_ms = per_image(counts, [column[stage].seconds for column in measured])
        fixed = cpu[0] - counts[0] * ms[0] / 1000
        table.add_row(stage, f"{fixed:.1f}", *(f"{figure:.1f}" for figure in (*ms, *wall_ms)))
        name = f"{stage}: CPU ms an image beyond {counts[-2]:,} by those before"
        growth = max(ms[-1], LEAST_MS) / max(ms[0], LEAST_MS)
        reached.append(Goal.at_most(name, round(growth, 3), MOST_GROWTH))
    Console().print(table)
    imports = measured[0][stages.IMPORTS]
    print(f"imports, part of each fixed cost: {imports.cpu:.1f} CPU s, {imports.seconds:.1f} s")
    goals.write(given.json, "scaling", reached)


if __name__ == "__main__":
    main()
