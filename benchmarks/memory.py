"""Peak memory of each stage at several numbers of images.

    python -m benchmarks.memory [--data ../shared/data] [--counts 600 6000] [--record]

Each stage runs in its own process (benchmarks/stages.py). The photos are linked under as many
names and clips as needed.
"""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import figures, goals, stages
from benchmarks.goals import Goal

MIB: Final = 2**20
MOST_GROWTH: Final = 1.1
MOST_MIB: Final = 3 * 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goals."""
    parser = figures.parser(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[600, 6000])
    given = parser.parse_args(arguments)
    counts = sorted(given.counts)
    measured = [stages.measure(given.data.resolve(), count) for count in counts]
    table = Table("peak memory, MiB", *(f"{count:,} images" for count in counts), "growth")
    reached = []
    measured_mib: dict[str, dict[str, float]] = {}
    for stage in stages.STAGES:
        peaks = [column[stage].peak / MIB for column in measured]
        growth = peaks[-1] / peaks[0]
        by_count = dict(zip(map(str, counts), peaks, strict=True))
        measured_mib[stage] = by_count | {"growth": growth}
        table.add_row(stage, *(f"{peak:,.0f}" for peak in peaks), f"{growth:.2f}")
        if len(counts) > 1 and stage != stages.IMPORTS:
            name = f"{stage}: memory at {counts[-1]:,} images by that at {counts[0]:,}"
            reached.append(Goal.at_most(name, round(growth, 3), MOST_GROWTH))
    Console().print(table)
    highest = max(cost.peak for column in measured for cost in column.values()) / MIB
    reached.append(Goal.at_most("highest peak of any stage, MiB", round(highest), MOST_MIB))
    goals.show(reached)
    if given.record:
        figures.record("memory", measured_mib | {"highest": highest})


if __name__ == "__main__":
    main()
