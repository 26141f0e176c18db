"""What a threshold chosen on few images is worth on new ones.

    python -m benchmarks.unsure_threshold [--wanted 0.95] [--draws 2000]

Draws calibrated confidences of three classes, right with just that probability, so that the
true accuracy and coverage of every threshold are known. On so many eval images as a row says
the threshold is chosen, by the accuracy counted there (quantile 0) and by the lower Wilson
bound at other quantiles. Two figures tell whether to trust it: how often the true accuracy is
below what was wanted, by more than a point, and how much coverage is left. Runs of images of one
clip are alike: a clip of 4 frames counts as one image drawn 4 times, the hardest case.
"""

import argparse
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from components.training import calibration

SIZES: Final = (50, 100, 200, 500, 2000)
QUANTILES: Final = {"none": 0.0, "75 %": 0.674, "90 %": 1.282, "95 %": 1.645}
POPULATION: Final = 200_000


def confidences(rng: np.random.Generator, images: int, accuracy: float) -> np.ndarray:
    """Top probabilities, most of them near 1, whose mean is the accuracy; float64 [images]."""
    least = 1 / 3
    mean = (accuracy - least) / (1 - least)
    return least + (1 - least) * stats.beta.rvs(
        2.5 * mean, 2.5 * (1 - mean), size=images, random_state=rng
    )


def measure(
    size: int, frames: int, accuracy: float, quantile: float, wanted: float, draws: int
) -> tuple[float, float, float]:
    """Chooses thresholds on many eval splits.

    Returns:
      The share of thresholds whose true accuracy misses what is wanted by over a point, the
      mean true coverage, and the share of splits on which no threshold was found.
    """
    rng = np.random.default_rng(0)
    population = np.sort(confidences(rng, POPULATION, accuracy))
    true_accuracy = population[::-1].cumsum()[::-1] / np.arange(POPULATION, 0, -1)
    missed = covered = none = 0.0
    for _ in range(draws):
        confidence = rng.choice(population, size // frames)
        correct = rng.random(len(confidence)) < confidence
        choice = calibration.choose_threshold(
            np.repeat(confidence, frames), np.repeat(correct, frames), wanted, quantile
        )
        if choice.threshold is None:
            none += 1
            continue
        place = np.searchsorted(population, choice.threshold)
        missed += true_accuracy[place] < wanted - 0.01
        covered += 1 - float(place) / POPULATION
    return missed / draws, covered / draws, none / draws


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="What a threshold chosen on few images is worth.")
    parser.add_argument("--wanted", type=float, default=0.95, help="wanted accuracy")
    parser.add_argument("--draws", type=int, default=2000, help="eval splits drawn for a row")
    arguments = parser.parse_args()
    table = Table("Accuracy", "Eval images", "Frames a clip", "Bound", "Missed", "Coverage", "None")
    for accuracy in (0.85, 0.92):
        for size in SIZES:
            for frames in (1, 4):
                for name, quantile in QUANTILES.items():
                    missed, covered, none = measure(
                        size, frames, accuracy, quantile, arguments.wanted, arguments.draws
                    )
                    row = (f"{missed:.2f}", f"{covered:.2f}", f"{none:.2f}")
                    table.add_row(f"{accuracy:.2f}", f"{size:,}", str(frames), name, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
