"""Probabilities that can be trusted, and from which confidence on an answer counts as sure.

Imports neither TensorFlow nor TFX: Trainer, Evaluator and the review share it.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Of the expected calibration error: equal widths over [0, 1].
BINS: Final = 15
# Networks need 1 to 4 (Guo et al., table 1).
TEMPERATURES: Final = (0.1, 10.0)
# How far temperatures are from 1 before anything is known: standard deviation of the natural
# logarithm. See `fit_temperature`.
TEMPERATURE_SPREAD: Final = 0.25
# One-sided normal quantile of the Wilson bound: 75 %. See `choose_threshold`.
WILSON_QUANTILE: Final = 0.674
DRAWS: Final = 500  # for `calibration_error_by_chance`

Floats = npt.NDArray[np.floating[Any]]
Clips = npt.NDArray[Any]  # any names that can be sorted


@dataclass(frozen=True)
class Choice:
    """From where on answers count as sure, and what comes of it on the same images.

    Attributes:
      threshold: least confidence of a sure answer; None if there is none that reaches
        the wanted accuracy: then every answer is unsure.
      coverage: share of the images whose answer is sure, 0 to 1.
      selective_accuracy: accuracy among those; None if there are none.
    """

    threshold: float | None
    coverage: float
    selective_accuracy: float | None


@dataclass(frozen=True)
class Calibration(Choice):
    """The choice and what it was made on, the eval split; JSON-serialisable.

    Attributes:
      temperature: that logits are divided by.
      wanted_accuracy: that the threshold was chosen for.
      error_before: expected calibration error at temperature 1; None without images.
      error_after: the same at the fitted temperature.
      images: how many there were.
      clips: of how many clips; None for models from before it counted.
    """

    temperature: float
    wanted_accuracy: float
    error_before: float | None
    error_after: float | None
    images: int
    clips: int | None = None


def calibrate(
    logits: Floats, labels: npt.NDArray[np.int64], clips: Clips, wanted_accuracy: float
) -> Calibration:
    """Fits the temperature, then chooses the threshold on calibrated confidences.

    Args:
      logits: [images, classes] of the eval split.
      labels: [images], indices of the right classes.
      clips: [images], the clip of each.
      wanted_accuracy: see `choose_threshold`.
    """
    correct = logits.argmax(axis=1) == labels
    temperature = fit_temperature(logits, labels, clips)
    before, after = (_confidence(logits, each) for each in (1.0, temperature))
    return Calibration(
        **asdict(choose_threshold(after, correct, wanted_accuracy)),
        temperature=temperature,
        wanted_accuracy=wanted_accuracy,
        error_before=expected_calibration_error(before, correct),
        error_after=expected_calibration_error(after, correct),
        images=len(labels),
        clips=len(np.unique(clips)),
    )


def fit_temperature(
    logits: Floats,
    labels: npt.NDArray[np.int64],
    clips: Clips,
    spread: float = TEMPERATURE_SPREAD,
) -> float:
    """Finds the temperature that the labels make likeliest, starting from 1.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML
    2017, section 4.2, but for two things. A clip says as much as one image, by the mean over
    its frames: one long clip that the model gets wrong would else make it doubt everything.
    And there is a log-normal prior about 1. On thousands of clips it says nothing. On twelve
    it keeps the fit from following a handful of them: where all are right, the likelihood
    alone asks for ever more confidence. `benchmarks/temperature.py` compares both.

    Args:
      logits: [images, classes]; images with a logit that is not finite are left out.
      labels: [images], indices of the right classes.
      clips: [images], the clip of each.
      spread: standard deviation of the prior on the temperature's logarithm.

    Returns:
      The temperature, within `TEMPERATURES`; 1 if there is no image.
    """
    # Not above: commands that only show a page's contents would wait for it.
    from scipy import optimize, special

    usable = np.isfinite(logits).all(axis=1)
    rows = logits[usable].astype(np.float64)
    # How far each class is above the right one; float32 logits cannot overflow here.
    above = rows - np.take_along_axis(rows, labels[usable][:, np.newaxis], axis=1)
    _, clip, frames = np.unique(clips[usable], return_inverse=True, return_counts=True)

    def loss(log_temperature: float) -> float:
        surprise = special.logsumexp(above / np.exp(log_temperature), axis=1)
        return float((surprise / frames[clip]).sum() + (log_temperature / spread) ** 2 / 2)

    found = optimize.minimize_scalar(
        loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))


def choose_threshold(
    confidence: Floats,
    correct: npt.NDArray[np.bool_],
    wanted_accuracy: float,
    quantile: float = WILSON_QUANTILE,
) -> Choice:
    """Finds the lowest confidence from which on answers are as accurate as is wanted.

    Selective classification after Geifman and El-Yaniv, "Selective Classification for
    Deep Neural Networks", NIPS 2017. The accuracy is not the one that was counted but its
    lower Wilson bound. The threshold that looks best on few images is one that luck favours:
    chosen by the count on 100 images, it missed what was wanted by over a point in a third
    of the draws of `benchmarks/unsure_threshold.py`; with the bound at 75 % in a sixth, for
    7 points of coverage. At 95 % no threshold at all was found in a third: 51 right answers
    of 51 do not prove an accuracy of 0.95. Frames of a clip count as so many images: 500 of
    them in clips of 4 missed in 28 % of the draws.

    Args:
      confidence: [images], of the answers; NaN is never sure.
      correct: [images], whether the answers are right.
      wanted_accuracy: among the sure answers, 0 to 1.
      quantile: of the normal distribution, how far the bound lies below; 0 for the count.

    Returns:
      The choice with the largest coverage.
    """
    comparable = np.where(np.isnan(confidence), -np.inf, confidence)
    order = np.argsort(-comparable, kind="stable")
    ranked = comparable[order]
    # Answers of equal confidence are sure together or not at all.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)])
    last = last[np.isfinite(ranked[last])]
    hits, accepted = np.cumsum(correct[order])[last], last + 1
    reached = np.flatnonzero(wilson_bound(hits, accepted, quantile) >= wanted_accuracy)
    if not len(reached):
        return Choice(None, 0.0, None)
    chosen = reached[-1]
    return Choice(
        threshold=float(ranked[last[chosen]]),
        coverage=float(accepted[chosen] / len(confidence)),
        selective_accuracy=float(hits[chosen] / accepted[chosen]),
    )


def wilson_bound(hits: npt.NDArray[Any], images: npt.NDArray[Any], quantile: float) -> Floats:
    """The lower bound of shares: Wilson, "Probable Inference", JASA 1927.

    The upper one is 1 less the lower bound of the misses' share.

    Args:
      hits: numbers, any shape.
      images: of how many each is the share, above 0, the same shape.
      quantile: of the normal distribution, how far the bound lies below; 0 for the share.
    """
    squared = quantile**2
    share = hits / images
    spread = quantile * np.sqrt(share * (1 - share) / images + squared / (4 * images**2))
    return (share + squared / (2 * images) - spread) / (1 + squared / images)


def bin_of(confidence: Floats) -> npt.NDArray[np.int64]:
    """The bin of each confidence, 0 to `BINS` - 1.

    Bins are closed on the right, as in the paper, so that 1.0 is in the last one; NaN
    is in the first.
    """
    index = np.ceil(np.nan_to_num(confidence) * BINS).astype(np.int64) - 1
    return np.clip(index, 0, BINS - 1)


def expected_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float | None:
    """How far confidence is from accuracy, 0 (best) to 1; None without images.

    The mean over images of |accuracy of the bin - mean confidence of the bin|. Guo,
    Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
    eq. 3.

    Args:
      confidence: [images].
      correct: [images].
    """
    if not len(confidence):
        return None
    gaps = np.bincount(bin_of(confidence), weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_error_by_chance(confidence: Floats, clips: Clips) -> float:
    """The expected calibration error of a model whose confidence is just right.

    With few clips it is far from 0: whether they are right is drawn, by a parametric
    bootstrap (Davison and Hinkley 1997, section 2.2), for all frames of a clip together.

    Args:
      confidence: [images], 0 to 1.
      clips: [images], the clip of each.

    Returns:
      The mean over `DRAWS` draws; 0 without images.
    """
    names, clip = np.unique(clips, return_inverse=True)
    luck = np.random.default_rng(0).random((DRAWS, len(names)))
    errors = [expected_calibration_error(confidence, draw[clip] < confidence) for draw in luck]
    return float(np.mean([error or 0.0 for error in errors]))


def _confidence(logits: Floats, temperature: float) -> Floats:
    """As the exported model computes it: float32, or thresholds would not be met exactly."""
    from scipy import special

    shares = special.softmax(logits.astype(np.float32) / np.float32(temperature), axis=1)
    return shares.max(axis=1)
