"""What a set of test clips can prove, before any model is asked."""

from typing import Final

import numpy as np

from components import intervals

# The share of images of which a retrained model gets right what the other got wrong, and the same
# the other way round.
CHANGES: Final = 0.03
POWER: Final = 0.8

_DRAWS: Final = 400
_SEED: Final = 80


def provable_margin(images: intervals.Counts) -> float:
    """The smallest margin within which a candidate as good as the other is shown to stay.

    Clips change as a whole, `CHANGES` of them for the better and as many for the worse, by chance;
    the margin is the loss that the interval excludes in `POWER` of the draws. Draws are seeded, so
    the same clips always give the same margin.

    Args:
      images: [clips], of each clip, at least one; at least one clip.

    Returns:
      Above 0, at most 1.
    """
    rng = np.random.default_rng(_SEED)
    fate = rng.random((_DRAWS, len(images)))
    gained = images * (fate < CHANGES)
    lost = images * (fate > 1 - CHANGES)
    pairs = intervals.effective_pairs(np.broadcast_to(images, fate.shape), gained + lost)
    total = images.sum()
    low, _ = intervals.tango_interval(
        pairs, pairs * gained.sum(axis=1) / total, pairs * lost.sum(axis=1) / total
    )
    return float(-np.quantile(low, 1 - POWER))
