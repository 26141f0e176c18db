"""How well a temperature fitted on few eval images holds on new ones.

    python -m benchmarks.temperature [--draws 300]

Draws logits of three classes and labels that are right with the probability that a true
temperature gives them. Half of the eval images are from clips of one frame, half from clips of 12
identical frames, the hardest case. The temperature is fitted on as many eval images as a row says,
with each spread of the prior, with clips known and, as the baseline, ignored. Each cell has two
figures on new images: the log loss above that of the true temperature, and the expected calibration
error.
"""

import argparse
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import special

from components.training import calibration

SIZES: Final = (60, 500, 5000)
TRUTHS: Final = (0.7, 1.0, 1.5, 3.0)
SPREADS: Final = {"0.1": 0.1, "0.25": 0.25, "0.5": 0.5, "no prior": 1e6}
FRAMES: Final = 12
NEW_IMAGES: Final = 20_000


def draw(rng: np.random.Generator, images: int, truth: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, float64 [images, 3], and labels, int64 [images]; nine of ten are right."""
    logits = rng.normal(0, 5.5, (images, 3)) * truth
    shares = special.softmax(logits / truth, axis=1)
    return logits, (rng.random(images)[:, np.newaxis] > shares.cumsum(axis=1)).sum(axis=1)


def judge(logits: np.ndarray, labels: np.ndarray, temperature: float) -> tuple[float, float]:
    """Log loss and expected calibration error."""
    shares = special.softmax(logits / temperature, axis=1)
    loss = -np.log(shares[np.arange(len(labels)), labels] + 1e-12).mean()
    right = shares.argmax(axis=1) == labels
    error = calibration.expected_calibration_error(shares.max(axis=1), right)
    return float(loss), float(error or 0.0)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=300, help="eval splits drawn for a row")
    draws = parser.parse_args().draws
    table = Table("True", "Eval", "Clips", title="Log loss above the least, and calibration error")
    for prior in SPREADS:
        table.add_column(prior, no_wrap=True)
    for truth in TRUTHS:
        new = draw(np.random.default_rng(1), NEW_IMAGES, truth)
        least, _ = judge(*new, truth)
        for size in SIZES:
            frames = np.repeat([1, FRAMES], [size // 2, size // 2 // FRAMES])
            known = np.repeat(np.arange(len(frames)), frames)
            for name, clips in (("ignored", np.arange(len(known))), ("known", known)):
                rng = np.random.default_rng(0)
                found: dict[str, list[tuple[float, float]]] = {prior: [] for prior in SPREADS}
                for _ in range(draws):
                    logits, labels = draw(rng, len(frames), truth)
                    split = np.repeat(logits, frames, axis=0), np.repeat(labels, frames)
                    for prior, spread in SPREADS.items():
                        fitted = calibration.fit_temperature(*split, clips, spread)
                        found[prior].append(judge(*new, fitted))
                means = [np.mean(found[prior], axis=0) for prior in SPREADS]
                cells = [f"{loss - least:.3f} {error:.3f}" for loss, error in means]
                table.add_row(f"{truth:.1f}", f"{size:,}", name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
