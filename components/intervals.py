"""Confidence intervals of accuracies, where the frames of a clip are not independent.

Imports neither TensorFlow nor TFX: training, the Evaluator and cross-validation share it.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Names of the intervals' ends in the Evaluator's results.
ACCURACY_ENDS: Final = ("accuracy_low", "accuracy_high")
DIFFERENCE_ENDS: Final = ("accuracy_difference_low", "accuracy_difference_high")

QUANTILE: Final = 1.959964  # of the normal distribution: 95 %, two-sided

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


def difference_interval(images: Counts, gained: Counts) -> Interval:
    """The 95 % interval of the difference between two models' accuracies on the same clips.

    The linearised variance of a ratio over clusters, and Student's t with one degree of
    freedom less than there are clips (Cochran, "Sampling Techniques", 1977, section 9A.1).

    Args:
      images: [clips], at least one in each.
      gained: [clips], how many more the candidate got right than the baseline.

    Returns:
      Its ends, within -1 to 1; NaN below two clips, and where the clips show no variance.
    """
    clips = len(images)
    difference = gained.sum() / images.sum() if clips else math.nan
    rest = gained - difference * images
    if clips < 2 or not rest.any():
        return math.nan, math.nan
    # Not above: commands that only show what was computed would wait for it.
    from scipy import stats

    error = math.sqrt(clips / (clips - 1) * (rest**2).sum()) / images.sum()
    margin = float(stats.t.ppf(0.975, clips - 1)) * error
    return max(-1.0, difference - margin), min(1.0, difference + margin)
