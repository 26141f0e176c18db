"""How far the model's confidence can be believed, from its answers image by image."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.training import calibration
from pipeline.review.contents import Calibration, CalibrationBin, CoveragePoint
from schema import features

MOST_POINTS: Final = 100

Array = npt.NDArray[np.float64]


def calibrate(predictions: pd.DataFrame, fitted: calibration.Calibration | None) -> Calibration:
    """Compares confidence with accuracy.

    The coverage curve is the risk-coverage curve of El-Yaniv and Wiener, JMLR 2010,
    with accuracy in place of risk.

    Args:
      predictions: a row an image, with the columns of `components.examples.parquet.PREDICTIONS`.
      fitted: what the Trainer fitted.

    Returns:
      Bins from the least confidence up, those without images left out; the error, NaN
      if there is no image; at most `MOST_POINTS` points of the curve from full coverage
      down, its ends among them.
    """
    probabilities = np.nan_to_num(predictions[list(features.POSTURES)].to_numpy(np.float64))
    predicted = np.array(features.POSTURES, object)[probabilities.argmax(axis=1)]
    confidence = probabilities.max(axis=1)
    right = predictions[features.POSTURE].to_numpy() == predicted
    error = calibration.expected_calibration_error(confidence, right)
    return Calibration(
        _bins(confidence, right),
        float("nan") if error is None else error,
        _coverage(confidence, right),
        fitted,
    )


def _bins(confidence: Array, right: npt.NDArray[np.bool_]) -> list[CalibrationBin]:
    index = calibration.bin_of(confidence)
    return [
        CalibrationBin(
            low=number / calibration.BINS,
            high=(number + 1) / calibration.BINS,
            count=int(inside.sum()),
            confidence=float(confidence[inside].mean()),
            accuracy=float(right[inside].mean()),
        )
        for number in range(calibration.BINS)
        if (inside := index == number).any()
    ]


def _coverage(confidence: Array, right: npt.NDArray[np.bool_]) -> list[CoveragePoint]:
    # Images of equal confidence are accepted together or not at all.
    thresholds, first = np.unique(np.sort(confidence), return_index=True)
    ascending: npt.NDArray[Any] = right[np.argsort(confidence)]
    accepted = len(confidence) - first
    correct = ascending[::-1].cumsum()[accepted - 1]
    kept = np.unique(
        np.linspace(0, len(first) - 1, min(MOST_POINTS, len(first))).round().astype(int)
    )
    return [
        CoveragePoint(
            threshold=float(thresholds[point]),
            coverage=float(accepted[point] / len(confidence)),
            accuracy=float(correct[point] / accepted[point]),
        )
        for point in kept
    ]
