"""How far accuracy may be off, where the frames of a clip are right or wrong together.

Imports neither TensorFlow nor TFX: Evaluator and cross-validation share it.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.training.calibration import wilson_bound

# What the ends of both intervals are called in the Evaluator's results.
ACCURACY_ENDS: Final = ("accuracy_low", "accuracy_high")
DIFFERENCE_ENDS: Final = ("accuracy_difference_low", "accuracy_difference_high")

QUANTILE: Final = 1.959964  # of the normal distribution: 95 %, two-sided

Interval = tuple[float, float]
Counts = npt.NDArray[Any]  # numbers, one a clip


def accuracy_interval(images: Counts, right: Counts) -> Interval:
    """The 95 % interval of an accuracy, of the counts of clips.

    Wilson's (`calibration.wilson_bound`), for as many images as the clips are worth if the
    frames of each are all right or all wrong: (sum of sizes)^2 / (sum of squared sizes),
    Kish's effective sample size ("Survey Sampling", 1965, section 8.2, with an intraclass
    correlation of 1). Where frames differ, the interval is wider than it had to be.

    Args:
      images: [clips], at least one in each.
      right: [clips], how many of them the model got right.

    Returns:
      Its ends, within 0 to 1; it has a width also where all images are right. NaN without
      clips.
    """
    if not len(images):
        return math.nan, math.nan
    worth = images.sum() ** 2 / (images**2).sum()
    hits = worth * right.sum() / images.sum()
    low, below_high = wilson_bound(np.array([hits, worth - hits]), np.full(2, worth), QUANTILE)
    return max(0.0, float(low)), min(1.0, 1 - float(below_high))


def difference_interval(images: Counts, gained: Counts) -> Interval:
    """The 95 % interval of the difference of two models' accuracies on the same clips.

    The linearised variance of a ratio over clusters and Student's t with one degree of
    freedom less than there are clips (Cochran, "Sampling Techniques", 1977, section 9A.1).

    Args:
      images: [clips], at least one in each.
      gained: [clips], how many more the candidate got right than the baseline.

    Returns:
      Its ends, within -1 to 1; NaN where nothing can be said: below two clips, and where no
      clip differs from another.
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
