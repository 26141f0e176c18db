"""Cost per image of each stage as the number of images grows.

    python -m benchmarks.scaling [--data ../shared/data] [--counts 120 600 6000] [--record]

Each stage runs in its own process (benchmarks/stages.py). Cost per image is the difference in cost
between two counts, divided by the difference in images, so that fixed costs (imports, start-up,
building graphs) cancel out. The fixed cost is shown beside it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import figures, goals, stages
from benchmarks.goals import Goal

# Two measurements of the same work differ by this much.
MOST_GROWTH: Final = 1.1
# Below this, the noise of the fixed cost hides the cost per image.
LEAST_MS: Final = 1.0


def per_image(counts: Sequence[int], costs: Sequence[float]) -> list[float]:
    """The cost of one more image, from each count to the next.

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
    parser = figures.parser(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[120, 600, 6000])
    given = parser.parse_args(arguments)
    counts = sorted(given.counts)
    if len(counts) < 3:
        parser.error("--counts needs at least three numbers; the first two give the fixed cost")
    measured = [stages.measure(given.data.resolve(), count) for count in counts]
    table = Table("stage", "fixed, CPU s", title="Time for one more image, ms")
    for clock in ("CPU", "wall"):
        for fewer, more in pairwise(counts):
            table.add_column(f"{clock}, {fewer:,} to {more:,}", justify="right")
    reached = []
    added: dict[str, dict[str, float]] = {}
    steps = [f"{fewer} to {more}" for fewer, more in pairwise(counts)]
    for stage in stages.STAGES[1:]:
        cpu = [column[stage].cpu for column in measured]
        ms = per_image(counts, cpu)
        wall_ms = per_image(counts, [column[stage].seconds for column in measured])
        added[stage] = dict(zip(steps, ms, strict=True))
        fixed = cpu[0] - counts[0] * ms[0] / 1000
        table.add_row(stage, f"{fixed:.1f}", *(f"{figure:.1f}" for figure in (*ms, *wall_ms)))
        name = f"{stage}: CPU per image beyond {counts[-2]:,} images, relative to before"
        growth = max(ms[-1], LEAST_MS) / max(ms[0], LEAST_MS)
        reached.append(Goal.at_most(name, round(growth, 3), MOST_GROWTH))
    Console().print(table)
    imports = measured[0][stages.IMPORTS]
    print(f"imports, part of each fixed cost: {imports.cpu:.1f} CPU s, {imports.seconds:.1f} s")
    goals.show(reached)
    if given.record:
        figures.record("scaling", added)


if __name__ == "__main__":
    main()
