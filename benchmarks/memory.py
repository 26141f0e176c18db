"""Peak memory of each stage at several numbers of images.

    python -m benchmarks.memory [--data ../shared/data] [--counts 600 6000] [--json FILE]

Each figure comes from a process of its own that runs one stage (benchmarks/stages.py).
The photos are linked under as many names and clips as are asked for.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import goals, stages
from benchmarks.goals import Goal

MIB: Final = 2**20
MOST_GROWTH: Final = 1.1
MOST_MIB: Final = 3 * 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--counts", type=int, nargs="+", default=[600, 6000])
    parser.add_argument("--json", type=Path, help="file for the goals")
    given = parser.parse_args(arguments)
    counts = sorted(given.counts)
    measured = [stages.measure(given.data.resolve(), count) for count in counts]
    table = Table("peak memory, MiB", *(f"{count:,} images" for count in counts), "growth")
    reached = []
    for stage in stages.STAGES:
        peaks = [column[stage].peak / MIB for column in measured]
        growth = peaks[-1] / peaks[0]
        table.add_row(stage, *(f"{peak:,.0f}" for peak in peaks), f"{growth:.2f}")
        if len(counts) > 1 and stage != stages.IMPORTS:
            name = f"{stage}: memory at {counts[-1]:,} images by that at {counts[0]:,}"
            reached.append(Goal.at_most(name, round(growth, 3), MOST_GROWTH))
    Console().print(table)
    highest = max(cost.peak for column in measured for cost in column.values()) / MIB
    reached.append(Goal.at_most("highest peak of any stage, MiB", round(highest), MOST_MIB))
    goals.write(given.json, "memory", reached)


if __name__ == "__main__":
    main()
