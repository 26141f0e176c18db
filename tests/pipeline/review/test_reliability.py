import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import intervals
from components.judging import comparison, metrics
from components.training import calibration as fitting
from pipeline.review import reliability
from schema import features

# Among them the edges of the bins, where the two sums could part.
CONFIDENCES = st.one_of(
    st.floats(0.375, 1.0, width=32), st.integers(6, 15).map(lambda number: number / 15)
)


FITTED = fitting.Calibration(
    threshold=0.7,
    coverage=0.5,
    selective_accuracy=0.95,
    temperature=1.0,
    wanted_accuracy=0.95,
    error_before=0.1,
    error_after=0.1,
    images=10,
    clips=5,
)


def predictions(rows: list[tuple[str, list[float]]]) -> pd.DataFrame:
    frame = pd.DataFrame([p for _, p in rows], columns=features.POSTURES, dtype=np.float32)
    frame[features.POSTURE] = [posture for posture, _ in rows]
    frame[features.CLIP] = [f"clip {row // 3}" for row in range(len(rows))]
    frame[features.UNSURE] = frame[list(features.POSTURES)].max(axis=1) < FITTED.threshold
    return frame


@st.composite
def answers(draw):
    confidence = draw(CONFIDENCES)
    rest = 1 - confidence
    probabilities = draw(st.permutations([confidence, rest / 2, rest / 2]))
    return draw(st.sampled_from(features.POSTURES)), probabilities


@given(st.lists(answers(), min_size=1, max_size=40))
def test_error_and_bins_are_those_of_the_evaluators_metric(rows):
    frame = predictions(rows)
    totals = sum(
        metrics.calibration_terms(
            features.POSTURES.index(posture),
            frame.loc[row, list(features.POSTURES)].to_numpy(np.float64),
            1.0,
        )
        for row, posture in enumerate(frame[features.POSTURE])
    )
    result = reliability.calibrate(frame, FITTED)
    assert result.error == pytest.approx(metrics.calibration_error(totals), abs=1e-6)
    occupied = totals[:, totals[0] > 0]
    assert [part.count for part in result.bins] == occupied[0].tolist()
    assert [part.accuracy for part in result.bins] == pytest.approx(
        (occupied[2] / occupied[0]).tolist()
    )
    right = comparison.answers(frame) == frame[features.POSTURE]
    index = fitting.bin_of(frame[list(features.POSTURES)].to_numpy(np.float64).max(axis=1))
    for part, number in zip(result.bins, np.flatnonzero(totals[0]), strict=True):
        by_clip = right[index == number].groupby(frame[features.CLIP]).agg(["size", "sum"])
        assert part.clips == len(by_clip)
        low, high = intervals.accuracy_interval(*by_clip.to_numpy(float).T)
        assert (part.accuracy_low, part.accuracy_high) == (low, high)
        assert low <= part.accuracy <= high
    lows = np.flatnonzero(totals[0]) / fitting.BINS
    assert [part.low for part in result.bins] == pytest.approx(lows.tolist())


@given(st.lists(answers(), min_size=1, max_size=40))
def test_each_point_of_the_curve_is_what_counting_gives(rows):
    frame = predictions(rows)
    probabilities = frame[list(features.POSTURES)].to_numpy(np.float64)
    right = np.array(features.POSTURES)[probabilities.argmax(axis=1)] == frame[features.POSTURE]
    result = reliability.calibrate(frame, FITTED)
    curve = result.coverage
    sure = ~frame[features.UNSURE]
    assert result.sure == pytest.approx(sure.mean())
    if sure.any():
        assert result.sure_accuracy == pytest.approx(right[sure].mean())
    for point in curve:
        accepted = probabilities.max(axis=1) >= point.threshold
        assert point.coverage == pytest.approx(accepted.mean())
        assert point.accuracy == pytest.approx(right[accepted].mean())
    assert curve[0].coverage == 1
    assert curve[-1].threshold == pytest.approx(probabilities.max())


def test_a_long_curve_is_thinned_between_its_ends():
    confidence = np.linspace(0.5, 1, 5000)
    frame = predictions([("Lying", [1 - p, 0.0, p]) for p in confidence])
    curve = reliability.calibrate(frame, FITTED).coverage
    assert len(curve) == reliability.MOST_POINTS
    assert (curve[0].coverage, curve[-1].coverage) == (1, 1 / 5000)


def test_a_single_bin_and_a_single_point_are_said_not_drawn():
    result = reliability.calibrate(predictions([("Lying", [0.1, 0.1, 0.8])] * 6), FITTED)
    diagram, curve = result.charts()
    assert diagram.spec is None and curve.spec is None
    assert diagram.summary == (
        "Mean confidence 80.0~%, accuracy 100.0~%, 95~% interval 34.2~% to 100.0~%; 6 images of 2"
        " clips."
    ).replace("~", "\N{NARROW NO-BREAK SPACE}").replace("95\N{NARROW NO-BREAK SPACE}%", "95 %")
    assert curve.summary.startswith("Answers from 80.0")
    assert result.bins[0].clips == 2


def test_no_image_has_no_error_and_no_curve():
    result = reliability.calibrate(predictions([]), FITTED)
    assert np.isnan(result.error)
    assert (result.bins, result.coverage, result.sure_accuracy) == ([], [], None)
