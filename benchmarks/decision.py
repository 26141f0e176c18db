"""What the interval of a difference between two models is worth, on simulated test clips.

    python -m benchmarks.decision [--data ../shared/data] [--draws 2000] [--record]

Clips are drawn with the sizes of the real label tables, or of 1 to 20 frames as the photos' are.
Truth is known: each clip's images are lost (right in the model in service, wrong in the candidate)
and gained with given chances, as a whole or frame by frame, equally often in all clips or in
proportion to their size. Printed are how often the 95 % interval holds the true difference, how
often a candidate passes that is worse by the whole margin or more, and how often an equal one
passes at the size of the real tables' test split.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks import figures, goals
from benchmarks.goals import Goal
from benchmarks.unsure_threshold import PHOTOS_SIZES
from components.ingest import labels, layout
from components.intervals import effective_pairs, tango_interval
from schema import features

CLIPS: Final = (34, 60, 150, 300, 2000)
# True shares of images that are lost and gained.
CHANGES: Final = ((0.0, 0.0), (0.02, 0.02), (0.05, 0.0), (0.05, 0.05), (0.07, 0.02), (0.07, 0.0))
WHOLE: Final = (1.0, 0.5)  # share of the clips that change as a whole
MARGINS: Final = (0.01, 0.02, 0.03, 0.05)
EQUAL_CHANGES: Final = (0.0, 0.005, 0.02)  # lost as often as gained
TEST_CLIPS: Final = 2200  # of the real tables' test split
LEAST_COVERAGE: Final = 0.93
MOST_WRONG: Final = 0.025

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """A truth to draw from.

    Attributes:
      clips: how many are drawn.
      lost: true share of images that only the model in service gets right, before clips that
        would change with a chance above 1 are limited to it.
      gained: the same of the candidate.
      whole: share of the clips that change as a whole; in others each frame changes by itself.
      proportional: whether a clip's chance of a change is proportional to its size.
    """

    clips: int
    lost: float
    gained: float
    whole: float
    proportional: bool


def chances(sizes: Array, cell: Cell) -> tuple[Array, Array]:
    """The chances that an image of clips of these sizes is lost and gained."""
    times = sizes * sizes.sum() / (sizes**2).sum() if cell.proportional else np.ones_like(sizes)
    most = cell.lost + cell.gained
    times = np.minimum(times, 1 / most) if most else times
    return cell.lost * times, cell.gained * times


def draw(
    sizes: Array, cell: Cell, draws: int, rng: np.random.Generator
) -> tuple[Array, Array, Array, float]:
    """Draws test clips and the answers of two models.

    Args:
      sizes: of the clips there are, in images.
      cell: the truth.
      draws: how many times the clips are drawn.
      rng: where chance comes from.

    Returns:
      [draws, clips] the images of each clip, those gained and those lost; the true difference.
    """
    lost, gained = chances(sizes, cell)
    truth = float((sizes * (gained - lost)).sum() / sizes.sum())
    which = rng.integers(len(sizes), size=(draws, cell.clips))
    images, p_lost, p_gained = sizes[which], lost[which], gained[which]
    fate = rng.random(which.shape)
    whole = rng.random(which.shape) < cell.whole
    frames = images.astype(int)
    alone_lost = rng.binomial(frames, p_lost)
    # Of the frames that are not lost.
    alone_gained = rng.binomial(frames - alone_lost, p_gained / np.maximum(1 - p_lost, 1e-9))
    all_gained = (fate >= p_lost) & (fate < p_lost + p_gained)
    return (
        images,
        np.where(whole, images * all_gained, alone_gained),
        np.where(whole, images * (fate < p_lost), alone_lost),
        truth,
    )


def intervals_of(images: Array, gained: Array, lost: Array) -> tuple[Array, Array]:
    """`components.intervals.difference_interval` of each row of [draws, clips]."""
    pairs = effective_pairs(images, gained + lost)
    total = images.sum(axis=1)
    return tango_interval(
        pairs, pairs * gained.sum(axis=1) / total, pairs * lost.sum(axis=1) / total
    )


def sizes_of_tables(data: Path) -> Array:
    """The images of each clip in the real label tables whose posture is known."""
    counts: Counter[tuple[str, str]] = Counter()
    place = labels.LABEL_COLUMNS.index(features.POSTURE)
    for tranche in layout.discover(data / "labels", labels_only=True):
        with labels.TableProblems(tranche.labels_csv) as problems:
            for row in labels.read_labels(tranche.labels_csv, problems):
                if row.values[place] in features.POSTURES:
                    counts[tranche.name, row.clip] += 1
    return np.array(sorted(counts.values()), float)


def judged(sizes: Array, cell: Cell, draws: int) -> tuple[float, float]:
    """How well the interval does on a truth.

    Returns:
      The share of the draws whose interval holds the true difference, and of those whose interval
      lies above it: were the margin as large as the true loss, they would pass.
    """
    images, gained, lost, truth = draw(sizes, cell, draws, np.random.default_rng(21))
    low, high = intervals_of(images, gained, lost)
    return float(((low <= truth) & (truth <= high)).mean()), float((low > truth).mean())


def passing(sizes: Array, cell: Cell, draws: int) -> list[float]:
    """The share of the draws in which the candidate is shown to be no worse, for each margin."""
    images, gained, lost, _ = draw(sizes, cell, draws, np.random.default_rng(22))
    low, _ = intervals_of(images, gained, lost)
    return [float((low > -margin).mean()) for margin in MARGINS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables and the goals."""
    parser = figures.parser(__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    given = parser.parse_args(arguments)
    real = sizes_of_tables(given.data.resolve())
    populations = {"real tables": real, "photos": PHOTOS_SIZES.astype(float)}
    kinds = [*product(WHOLE, (False, True))]
    ways = [
        f"{'all' if whole == 1 else 'half'} whole, {'long ones' if long else 'all clips'}"
        for whole, long in kinds
    ]

    least, most = 1.0, 0.0
    table = Table(
        *("sizes", "clips", "lost, gained", *ways),
        title="Share of draws whose interval holds the truth; that lies above it",
    )
    for (name, sizes), clips, (lost, gained) in product(populations.items(), CLIPS, CHANGES):
        cells = [Cell(clips, lost, gained, whole, long) for whole, long in kinds]
        results = [judged(sizes, cell, given.draws) for cell in cells]
        least = min(least, *(held for held, _ in results))
        most = max(most, *(above for _, above in results))
        row = [f"{held:.3f}; {above:.3f}" for held, above in results]
        table.add_row(name, f"{clips:,}", f"{lost:g}, {gained:g}", *row)
    console = Console()
    console.print(table)

    equal: dict[str, dict[str, float]] = {}
    headings = [f"{100 * margin:g}" for margin in MARGINS]
    table = Table(
        "lost and gained, each", *headings, title=f"Passes, equal, {TEST_CLIPS:,} clips, points"
    )
    for share in EQUAL_CHANGES:
        cell = Cell(TEST_CLIPS, share, share, 1.0, proportional=False)
        passed = passing(real, cell, given.draws)
        equal[f"{share:g}"] = dict(zip(headings, passed, strict=True))
        table.add_row(f"{share:g}", *(f"{each:.3f}" for each in passed))
    console.print(table)

    goals.show(
        [
            Goal.at_least("coverage of the interval, least of all cells", least, LEAST_COVERAGE),
            Goal.at_most("worse by the margin and passed, most of all cells", most, MOST_WRONG),
        ]
    )
    if given.record:
        figures.record(
            "decision",
            {"draws": given.draws, "coverage": least, "wrong": most, "equal": equal},
        )


if __name__ == "__main__":
    main()
