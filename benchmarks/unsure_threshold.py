"""How well a threshold chosen on few eval images holds on new ones, by the rule that chose it.

    python -m benchmarks.unsure_threshold [--wanted 0.95] [--draws 500]

Draws clips with calibrated confidences, so that the true accuracy and coverage of every threshold
are known, and chooses a threshold on so many clips as a row says. The rules differ in how many
independent images the sure ones are taken for, and in the confidence level of the lower Wilson
bound. Each cell has three figures: the share of draws whose threshold misses the wanted accuracy by
more than a point, the mean true coverage, and the share of draws without any threshold.
"""

import argparse
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy import stats

from components.training import calibration

POPULATION: Final = 200_000
# Numbers of clips by their size, in images: the 147 clips of the photos.
PHOTOS: Final = {1: 48, 2: 58, 3: 1, 7: 23, 9: 1, 12: 3, 14: 3, 15: 2, 16: 1, 17: 2, 18: 2}
PHOTOS_SIZES: Final = np.repeat([*PHOTOS, 21, 24], [*PHOTOS.values(), 2, 1])


class Split(NamedTuple):
    """An eval split.

    Attributes:
      name: as the table shows it.
      clips: how many.
      sizes: the sizes that are drawn from, in images.
    """

    name: str
    clips: int
    sizes: npt.NDArray[np.int64]


SPLITS: Final = (
    Split("22 clips as the photos'", 22, PHOTOS_SIZES),
    Split("34 clips of 2", 34, np.array([2])),
    Split("125 clips of 4", 125, np.array([4])),
    Split("1,000 clips of 2", 1000, np.array([2])),
)
# How alike the frames of a clip are: correlation of what decides about confidence and correctness.
ALIKE: Final = (1.0, 0.5)


def images_seen(clips: calibration.Clips) -> npt.NDArray[np.int64]:
    """Takes images for independent."""
    return np.arange(1, len(clips) + 1)


def kish_seen(clips: calibration.Clips) -> npt.NDArray[np.float64]:
    """Kish's effective sample size of the first image, the first two, and so on."""
    seen: dict[int, int] = {}
    squares = np.zeros(len(clips))
    for place, clip in enumerate(clips.tolist()):
        seen[clip] = seen.get(clip, 0) + 1
        squares[place] = 2 * seen[clip] - 1  # what is added to the sum of squared sizes
    return images_seen(clips) ** 2 / squares.cumsum()


RULES: Final[dict[str, tuple[Callable[[calibration.Clips], npt.NDArray], float]]] = {
    "images, 75 %": (images_seen, 0.674),
    "clips, observed": (calibration.clips_seen, 0.0),
    "clips, 67 %": (calibration.clips_seen, 0.44),
    "clips, 75 %": (calibration.clips_seen, 0.674),
    "clips, 90 %": (calibration.clips_seen, 1.282),
    "Kish, 67 %": (kish_seen, 0.44),
    "Kish, 75 %": (kish_seen, 0.674),
}


class World:
    """Where confidences come from: most of them near 1, and calibrated.

    Args:
      accuracy: of all answers.
    """

    def __init__(self, accuracy: float) -> None:
        least = 1 / 3
        mean = (accuracy - least) / (1 - least)
        quantiles = (np.arange(POPULATION) + 0.5) / POPULATION
        drawn = stats.beta.ppf(quantiles, 2.5 * mean, 2.5 * (1 - mean))
        self._confidence = least + (1 - least) * drawn
        self._accuracy = self._confidence[::-1].cumsum()[::-1] / np.arange(POPULATION, 0, -1)

    def draw(
        self, rng: np.random.Generator, split: Split, alike: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Confidence, whether it is right, and clip of each image of a split."""
        clips = np.repeat(np.arange(split.clips), rng.choice(split.sizes, split.clips))

        def uniform() -> npt.NDArray[np.float64]:
            shared = rng.normal(size=split.clips)[clips]
            own = rng.normal(size=len(clips))
            return stats.norm.cdf(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own)

        confidence = self._confidence[(uniform() * POPULATION).astype(int)]
        return confidence, uniform() < confidence, clips

    def truth(self, threshold: float) -> tuple[float, float]:
        """True accuracy and coverage of a threshold."""
        place = int(np.searchsorted(self._confidence, threshold))
        return float(self._accuracy[place]), 1 - place / POPULATION


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wanted", type=float, default=0.95, help="wanted accuracy")
    parser.add_argument("--draws", type=int, default=500, help="eval splits drawn for a row")
    given = parser.parse_args()
    table = Table(title="Missed, coverage, no threshold")
    for name in ("Accuracy", "Eval split", "Alike", *RULES):
        table.add_column(name, no_wrap=True)
    for accuracy in (0.85, 0.92, 0.97):
        world = World(accuracy)
        for split in SPLITS:
            for alike in ALIKE:
                rng = np.random.default_rng(0)
                drawn = [world.draw(rng, split, alike) for _ in range(given.draws)]
                cells = []
                for worth, quantile in RULES.values():
                    chosen = [
                        calibration.choose_threshold(*each, given.wanted, quantile, worth).threshold
                        for each in drawn
                    ]
                    found = np.array([world.truth(each) for each in chosen if each is not None])
                    found = found.reshape(-1, 2)
                    missed = (found[:, 0] < given.wanted - 0.01).sum() / given.draws
                    covered = found[:, 1].sum() / given.draws
                    cells.append(f"{missed:.2f} {covered:.2f} {1 - len(found) / given.draws:.2f}")
                table.add_row(f"{accuracy:.2f}", split.name, f"{alike:.1f}", *cells)
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
