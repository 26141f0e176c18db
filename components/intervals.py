"""Confidence intervals of accuracies, where the frames of a clip are not independent.

Imports neither TensorFlow nor TFX: training, the Evaluator and cross-validation share it.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Names of the interval's ends in the Evaluator's results.
ACCURACY_ENDS: Final = ("accuracy_low", "accuracy_high")

QUANTILE: Final = 1.959964  # of the normal distribution: 95 %, two-sided
_HALVINGS: Final = 50  # of an interval of at most 2, to the precision of a float

Interval = tuple[float, float]
Counts = npt.NDArray[Any]  # one number per clip
Floats = npt.NDArray[np.floating[Any]]


def wilson_bound(shares: Floats, images: npt.NDArray[Any], quantile: float) -> Floats:
    """The lower end of Wilson's score interval ("Probable Inference", JASA 1927).

    The upper end is 1 minus the lower end of 1 - share.

    Args:
      shares: observed shares, 0 to 1, any shape.
      images: number of independent images behind each share, above 0, the same shape.
      quantile: of the normal distribution; 0 gives the share itself.
    """
    squared = quantile**2
    spread = quantile * np.sqrt(shares * (1 - shares) / images + squared / (4 * images**2))
    return (shares + squared / (2 * images) - spread) / (1 + squared / images)


def effective_images(images: Counts, right: Counts) -> float:
    """How many independent images the images of some clips are worth, for their accuracy.

    Kish's effective sample size for an intraclass correlation of 1 ("Survey Sampling", 1965,
    section 8.2): (sum of sizes)^2 / (sum of squared sizes). Where long clips are wrong more
    often than short ones, errors come in larger lumps than that; then the size of the lumps
    counts, (sum of sizes) * (sum of errors) / (sum of squared errors). The same goes for what
    is right, so the result is the least of the three. On 28 and more drawn clips whose chance of
    an error is proportional to their size, the 95 % interval for Kish's number held the truth in
    as few as 89 % of the draws, the one for this number in at least 94 %.

    Args:
      images: [clips], at least one in each; at least one clip.
      right: [clips], how many of them are right.
    """
    total = images.sum()
    lumps = (images, images - right, right)
    return min(float(total * lump.sum() / (lump**2).sum()) for lump in lumps if lump.any())


def accuracy_interval(images: Counts, right: Counts) -> Interval:
    """The 95 % interval of an accuracy, from the counts of each clip.

    Wilson's, for `effective_images`. If the frames of a clip differ, it is wider than needed.

    Args:
      images: [clips], at least one in each.
      right: [clips], how many of them the model got right.

    Returns:
      Its ends, within 0 to 1; NaN without clips.
    """
    if not len(images):
        return math.nan, math.nan
    share = right.sum() / images.sum()
    worth = np.full(2, effective_images(images, right))
    low, below_high = wilson_bound(np.array([share, 1 - share]), worth, QUANTILE)
    return max(0.0, float(low)), min(1.0, 1 - float(below_high))


def difference_interval(images: Counts, gained: Counts, lost: Counts) -> Interval:
    """The 95 % interval of the difference between two models' accuracies on the same clips.

    Tango's score interval for paired proportions, for `effective_pairs`. It has a width also
    where nothing changed. `benchmarks.decision` simulates how often it holds the truth.

    Args:
      images: [clips], at least one in each.
      gained: [clips], how many of them only the candidate got right.
      lost: [clips], how many of them only the baseline got right.

    Returns:
      Its ends, within -1 to 1; NaN without clips.
    """
    if not len(images):
        return math.nan, math.nan
    pairs = effective_pairs(images, gained + lost)
    low, high = tango_interval(
        pairs, *(pairs * changed.sum() / images.sum() for changed in (gained, lost))
    )
    return float(low), float(high)


def effective_pairs(images: Counts, changed: Counts) -> Floats:
    """How many independent images the images of some clips are worth, for a difference.

    Kish's number, as in `effective_images`, or if less, the images divided by the mean size of
    the lumps in which answers changed: (sum of squared changes) / (sum of changes). Few changed
    clips tell that size poorly, and it is most often too small where the loss seems too small. So
    one more clip counts as changed, of the size to expect if long clips change in proportion to
    their size, and the mean's standard error (linearised, Cochran, "Sampling Techniques", 1977,
    section 6.4) is added to it. Without the two, a candidate that was worse by the margin was
    shown to be no worse in up to 3.6 % of the draws of `benchmarks.decision`.

    Args:
      images: [..., clips], at least one in each; at least one clip.
      changed: [..., clips], how many of them just one of the models got right.

    Returns:
      [...], above 0.
    """
    total, squares = images.sum(-1), (images**2).sum(-1)
    expected = (images**3).sum(-1) / squares
    lumps = np.concatenate([changed, expected[..., np.newaxis]], axis=-1)
    counted = lumps.sum(-1)
    lump = (lumps**2).sum(-1) / counted
    spread = ((lumps * (lumps - lump[..., np.newaxis])) ** 2).sum(-1)
    worth = np.minimum(total**2 / squares, total / (lump + np.sqrt(spread) / counted))
    return np.asarray(worth, float)


def tango_interval(pairs: Floats, gained: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """Tango's 95 % score interval of a difference of paired proportions.

    "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17:891 (1998).

    Args:
      pairs: number of independent pairs, above 0, any shape.
      gained: of them, those that only the first has, the same shape.
      lost: of them, those that only the second has, the same shape.

    Returns:
      The lower and the upper ends, within -1 to 1, the same shape.
    """
    high = _tango_high(pairs, gained, lost)
    return -_tango_high(pairs, lost, gained), high


def loss_score(images: Counts, gained: Counts, lost: Counts, margin: float) -> float:
    """Tango's score of the observed loss against a margin, from the counts of each clip.

    It belongs to the interval: its lower end is above -margin just where the score is below minus
    `QUANTILE`, its upper end below -margin where it is above `QUANTILE`.

    Args:
      images: [clips], at least one in each; at least one clip.
      gained: [clips], how many of them only the candidate got right.
      lost: [clips], how many of them only the other model got right.
      margin: the loss that is allowed, 0 to 1.

    Returns:
      Standard normal if the true loss is the margin; low if it is smaller.
    """
    pairs = effective_pairs(images, gained + lost)
    ours, theirs = (pairs * changed.sum() / images.sum() for changed in (gained, lost))
    excess, variance = _tango(pairs, theirs, ours, np.array(margin))
    return -float(excess / np.sqrt(variance)) if variance else 0.0


def _tango_high(pairs: Floats, gained: Floats, lost: Floats) -> Floats:
    """Bisects for the difference above the observed one whose score is the normal quantile."""
    below, above = (gained - lost) / pairs, np.ones_like(gained / pairs)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        excess, variance = _tango(pairs, gained, lost, middle)
        within = excess**2 < QUANTILE**2 * variance
        below, above = np.where(within, middle, below), np.where(within, above, middle)
    return (below + above) / 2


def _tango(
    pairs: Floats, gained: Floats, lost: Floats, difference: Floats
) -> tuple[Floats, Floats]:
    """How far the pairs are below a difference of at least 0, and the variance of that number."""
    # The maximum likelihood share of `lost`, given the difference.
    b = (2 * pairs - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    share = (np.sqrt(np.maximum(0, b**2 - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    return pairs * difference - gained + lost, variance
