"""How well the model's confidence matches its accuracy, from its answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from components import intervals
from components.judging import comparison
from components.training import calibration
from pipeline.review import formats, vega
from pipeline.review.section import Chart, Section, Table
from schema import features

MOST_POINTS: Final = 100

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationBin:
    """Test images whose top probability lies in (low, high].

    Attributes:
      low: 0 to 1.
      high: 0 to 1.
      count: images.
      clips: that they are from.
      confidence: mean top probability.
      accuracy: share that is right.
      accuracy_low: lower end of its 95 % interval (`components.intervals`).
      accuracy_high: its upper end.
    """

    low: float
    high: float
    count: int
    clips: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclass(frozen=True)
class CoveragePoint:
    """What happens if answers below a confidence are left to a person."""

    threshold: float  # lowest confidence that is accepted
    coverage: float  # share of the test images that is left to the model
    accuracy: float  # on those


@dataclass(frozen=True)
class Reliability(Section):
    """How well the model's confidence matches its accuracy on the test images.

    Attributes:
      bins: from the lowest confidence up; bins without images are left out.
      error: expected calibration error, 0 (best) to 1; NaN without images.
      coverage: at most `MOST_POINTS` points from full coverage down, both ends included.
      sure: share of the images that the model does not call unsure, 0 to 1.
      sure_accuracy: accuracy on those; None if there are none.
      fitted: temperature and threshold, as fitted on the eval split.
    """

    bins: list[CalibrationBin]
    error: float
    coverage: list[CoveragePoint]
    sure: float
    sure_accuracy: float | None
    fitted: calibration.Calibration

    def charts(self) -> list[Chart]:
        """A reliability diagram and a risk-coverage curve."""
        return [self._reliability(), self._risk_coverage()]

    def _reliability(self) -> Chart:
        """Accuracy against confidence by bin, as in DeGroot and Fienberg (1983)."""
        rows = [
            {
                "confidence": vega.finite(part.confidence),
                "accuracy": vega.finite(part.accuracy),
                "low": vega.finite(part.accuracy_low),
                "high": vega.finite(part.accuracy_high),
                "from": part.low,
                "to": part.high,
                "count": part.count,
                "tip": f"Mean confidence {formats.percent(part.confidence)}, accuracy"
                f" {formats.percent(part.accuracy)}, 95 % interval"
                f" {formats.between(part.accuracy_low, part.accuracy_high)};"
                f" {formats.count(part.count)} images of {formats.count(part.clips)} clips",
            }
            for part in self.bins
        ]
        ideal = vega.chart([{"at": 0.0}, {"at": 1.0}]).mark_line(
            color="var(--muted)", strokeDash=[4, 4], strokeWidth=1
        )
        base = vega.chart(rows).encode(
            x=alt.X("confidence:Q", title="Confidence of the model", axis=vega.SHARE_AXIS),
            y=alt.Y("accuracy:Q", title="Accuracy, 95 % interval", axis=vega.SHARE_AXIS),
            tooltip="tip:N",
        )
        most = max((part.count for part in self.bins), default=1)
        count = alt.Y(
            "count:Q",
            title="Images",
            axis=alt.Axis(orient="right", values=[0, most], format=",d", grid=False),
            scale=alt.Scale(domain=[0, 3 * most]),  # in the lowest third
        )
        counts = vega.chart(rows).mark_bar(color="var(--grey-2)", opacity=0.6)
        lines = alt.layer(
            ideal.encode(x="at:Q", y="at:Q"),
            base.mark_line(),
            base.mark_rule(strokeWidth=3, opacity=0.55).encode(y="low:Q", y2="high:Q"),
            base.mark_point(filled=True, size=70, opacity=1),
        )
        chart = alt.layer(
            counts.encode(x="from:Q", x2="to:Q", y=count, y2=alt.datum(0), tooltip="tip:N"), lines
        ).resolve_scale(y="independent")
        summary = (
            "Accuracy at each level of confidence, with 95 % intervals. On the dashed line both are"
            " equal; below it the model is overconfident. The bars count the images."
        )
        return Chart(
            "reliability",
            "Does confidence match accuracy?",
            *vega.drawn(chart, summary, rows),
            Table(
                "Mean confidence and accuracy on the test images, by confidence",
                [
                    *("Confidence above", "Up to", "Images", "Clips"),
                    *("Mean confidence", "Accuracy", "95 % interval"),
                ],
                [
                    [
                        formats.percent(part.low),
                        formats.percent(part.high),
                        formats.count(part.count),
                        formats.count(part.clips),
                        formats.percent(part.confidence),
                        formats.percent(part.accuracy),
                        formats.between(part.accuracy_low, part.accuracy_high),
                    ]
                    for part in self.bins
                ],
                range(1, 7),
            ),
        )

    def _risk_coverage(self) -> Chart:
        """Accuracy against coverage: a risk-coverage curve, El-Yaniv and Wiener (2010)."""
        rows = [
            {
                "coverage": vega.finite(point.coverage),
                "accuracy": vega.finite(point.accuracy),
                "tip": f"Answers from {formats.percent(point.threshold)} confidence:"
                f" {formats.percent(point.coverage)} of the images, accuracy"
                f" {formats.percent(point.accuracy)}",
            }
            for point in self.coverage
        ]
        base = vega.chart(rows).encode(
            x=alt.X("coverage:Q", title="Coverage: decided by the model", axis=vega.SHARE_AXIS),
            y=alt.Y(
                "accuracy:Q",
                title="Accuracy on those",
                axis=vega.SHARE_AXIS,
                scale=alt.Scale(zero=False),
            ),
            tooltip="tip:N",
        )
        summary = (
            "Accuracy if answers below some confidence are left to a person. Further to the left,"
            " the person decides more images."
        )
        layers = [base.mark_line(), base.mark_point(filled=True, size=24, opacity=1)]
        if self.sure_accuracy is not None:
            here = [{"coverage": self.sure, "accuracy": self.sure_accuracy}]
            chosen = vega.chart(here).encode(x="coverage:Q", y="accuracy:Q")
            layers.append(chosen.mark_point(size=130, strokeWidth=2, opacity=1))
            summary += " The ring marks the model's own threshold."
        chart = alt.layer(*layers)
        return Chart(
            "coverage",
            "What if unsure answers are left to a person?",
            *vega.drawn(chart, summary, rows),
            Table(
                "Coverage and accuracy by the lowest confidence that is accepted",
                ["Lowest confidence", "Coverage", "Accuracy"],
                [
                    [
                        formats.percent(point.threshold),
                        formats.percent(point.coverage),
                        formats.percent(point.accuracy),
                    ]
                    for point in self.coverage
                ],
                [1, 2],
            ),
        )


def calibrate(predictions: pd.DataFrame, fitted: calibration.Calibration) -> Reliability:
    """Compares confidence with accuracy.

    The coverage curve is the risk-coverage curve of El-Yaniv and Wiener, JMLR 2010,
    with accuracy in place of risk.

    Args:
      predictions: a row an image, with the columns of `components.examples.parquet.PREDICTIONS`.
      fitted: what the Trainer fitted.
    """
    probabilities = np.nan_to_num(predictions[list(features.POSTURES)].to_numpy(np.float64))
    confidence = probabilities.max(axis=1)
    right = predictions[features.POSTURE].to_numpy() == comparison.answers(predictions)
    sure = ~predictions[features.UNSURE].to_numpy(np.bool_)
    error = calibration.expected_calibration_error(confidence, right)
    return Reliability(
        bins=list(_bins(predictions, confidence, right)),
        error=float("nan") if error is None else error,
        coverage=_coverage(confidence, right),
        sure=float(sure.mean()) if len(sure) else 0.0,
        sure_accuracy=float(right[sure].mean()) if sure.any() else None,
        fitted=fitted,
    )


def _bins(
    predictions: pd.DataFrame, confidence: Array, right: npt.NDArray[np.bool_]
) -> Iterator[CalibrationBin]:
    index = calibration.bin_of(confidence)
    for number in range(calibration.BINS):
        inside = index == number
        if not inside.any():
            continue
        images, correct = comparison.by_clip(predictions[inside], right[inside])
        low, high = intervals.accuracy_interval(images, correct)
        yield CalibrationBin(
            low=number / calibration.BINS,
            high=(number + 1) / calibration.BINS,
            count=int(inside.sum()),
            clips=len(images),
            confidence=float(confidence[inside].mean()),
            accuracy=float(right[inside].mean()),
            accuracy_low=low,
            accuracy_high=high,
        )


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
