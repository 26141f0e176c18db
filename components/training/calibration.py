"""Calibration of probabilities, and the confidence at which an answer counts as sure.

Imports neither TensorFlow nor TFX: Trainer, Evaluator and the review share it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.intervals import Floats, wilson_bound

# Bins of the expected calibration error, of equal width over [0, 1].
BINS: Final = 15
# Networks need 1 to 4 (Guo et al., table 1).
TEMPERATURES: Final = (0.1, 10.0)
# Standard deviation of the prior on the temperature's natural logarithm. See `fit_temperature`.
TEMPERATURE_SPREAD: Final = 0.25
# Normal quantile of the one-sided 75 % bound. See `choose_threshold`.
WILSON_QUANTILE: Final = 0.674
DRAWS: Final = 500  # for `calibration_error_by_chance`

Clips = npt.NDArray[Any]  # any names that can be sorted


@dataclass(frozen=True)
class Choice:
    """The threshold between sure and unsure answers, and its effect on the same images.

    Attributes:
      threshold: lowest confidence of a sure answer; None if no threshold reaches the wanted
        accuracy, so that every answer is unsure.
      coverage: share of the images whose answer is sure, 0 to 1.
      selective_accuracy: accuracy among those; None if there are none.
    """

    threshold: float | None
    coverage: float
    selective_accuracy: float | None


@dataclass(frozen=True)
class Calibration(Choice):
    """Temperature and threshold, and the eval split they were fitted on; JSON-serialisable.

    Attributes:
      temperature: the logits are divided by it.
      wanted_accuracy: the threshold was chosen for it.
      error_before: expected calibration error at temperature 1; None without images.
      error_after: the same at the fitted temperature.
      images: number of images in the eval split.
      clips: how many clips they come from.
    """

    temperature: float
    wanted_accuracy: float
    error_before: float | None
    error_after: float | None
    images: int
    clips: int


def calibrate(
    logits: Floats, labels: npt.NDArray[np.int64], clips: Clips, wanted_accuracy: float
) -> Calibration:
    """Fits the temperature, then chooses the threshold by the calibrated confidences.

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
        **asdict(choose_threshold(after, correct, clips, wanted_accuracy)),
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
    """Fits the temperature by maximum a posteriori.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML
    2017, section 4.2, with two changes. Each clip has the weight of one image, the mean over
    its frames: otherwise one long clip that the model gets wrong lowers all confidences. And
    the temperature has a log-normal prior about 1. With thousands of clips it has no effect;
    with a dozen it keeps the fit from following a few of them. (If all are right, the
    likelihood alone has no maximum.) `benchmarks/temperature.py` compares both.

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


def clips_seen(clips: Clips) -> npt.NDArray[np.int64]:
    """How many clips there are among the first image, the first two, and so on."""
    _, first = np.unique(clips, return_index=True)
    return np.isin(np.arange(len(clips)), first).cumsum()


def choose_threshold(
    confidence: Floats,
    correct: npt.NDArray[np.bool_],
    clips: Clips,
    wanted_accuracy: float,
    quantile: float = WILSON_QUANTILE,
    worth: Callable[[Clips], npt.NDArray[Any]] = clips_seen,
) -> Choice:
    """Finds the lowest confidence at which sure answers are as accurate as is wanted.

    Selective classification after Geifman and El-Yaniv, "Selective Classification for
    Deep Neural Networks", NIPS 2017. The accuracy is not the observed one but its lower
    Wilson bound: the threshold that looks best on few images owes that to luck. And the bound
    takes the images for no more than their clips, since frames of a clip tend to be right or
    wrong together: nine right frames of one clip prove nothing, nine right clips prove 0.95.
    `benchmarks/unsure_threshold.py` compares this rule with others.

    Args:
      confidence: [images], of the answers; NaN is never sure.
      correct: [images], whether the answers are right.
      clips: [images], the clip of each.
      wanted_accuracy: among the sure answers, 0 to 1.
      quantile: of the normal distribution, for the bound; 0 for the observed accuracy.
      worth: how many independent images the first image is worth, the first two, and so on.

    Returns:
      The choice with the largest coverage.
    """
    comparable = np.where(np.isnan(confidence), -np.inf, confidence)
    order = np.argsort(-comparable, kind="stable")
    ranked = comparable[order]
    # Answers of equal confidence are sure together or not at all.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)])
    last = last[np.isfinite(ranked[last])]
    accepted = last + 1
    accuracy = np.cumsum(correct[order])[last] / accepted
    independent = worth(clips[order])[last]
    reached = np.flatnonzero(wilson_bound(accuracy, independent, quantile) >= wanted_accuracy)
    if not len(reached):
        return Choice(None, 0.0, None)
    chosen = reached[-1]
    return Choice(
        threshold=float(ranked[last[chosen]]),
        coverage=float(accepted[chosen] / len(confidence)),
        selective_accuracy=float(accuracy[chosen]),
    )


def bin_of(confidence: Floats) -> npt.NDArray[np.int64]:
    """The bin of each confidence, 0 to `BINS` - 1.

    Bins are closed on the right, as in the paper, so that 1.0 is in the last one; NaN
    is in the first.
    """
    index = np.ceil(np.nan_to_num(confidence) * BINS).astype(np.int64) - 1
    return np.clip(index, 0, BINS - 1)


def expected_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float | None:
    """The mean gap between confidence and accuracy, 0 (best) to 1; None without images.

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
    """The expected calibration error that a perfectly calibrated model would show.

    With few clips it is well above 0. By parametric bootstrap (Davison and Hinkley 1997,
    section 2.2): whether answers are right is drawn from their confidences, for all frames of
    a clip together.

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
    """In float32 as in the exported model, so that thresholds are met exactly."""
    from scipy import special

    shares = special.softmax(logits.astype(np.float32) / np.float32(temperature), axis=1)
    return shares.max(axis=1)
