"""Temperature and threshold against brute force, on wild logits, and on data of known truth."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components import calibration

LOW, HIGH = calibration.TEMPERATURES
WILD = st.floats(width=32)  # NaN, infinities and the largest float32 among them
SIZES = st.integers(0, 25)


@st.composite
def answers(draw: st.DrawFn, values: st.SearchStrategy[float]) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 [n, 3] and labels int64 [n]."""
    size = draw(SIZES)
    logits = draw(arrays.arrays(np.float32, (size, 3), elements=values))
    return logits, draw(arrays.arrays(np.int64, size, elements=st.integers(0, 2)))


def loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    shares = scipy.special.log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return float(-shares[np.arange(len(labels)), labels].mean())


@settings(deadline=None)
@given(answers(WILD))
def test_whatever_the_logits_the_temperature_is_usable(case: tuple[np.ndarray, np.ndarray]) -> None:
    temperature = calibration.fit_temperature(*case)
    assert LOW <= temperature <= HIGH


@settings(deadline=None)
@given(answers(st.floats(-30, 30, width=32)))
def test_no_other_temperature_explains_the_labels_better(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    def surprise(temperature: float) -> float:
        prior = scipy.stats.norm(scale=calibration.TEMPERATURE_SPREAD)
        likelihood = len(labels) * loss(logits, labels, temperature) if len(labels) else 0.0
        return likelihood - float(prior.logpdf(np.log(temperature)))

    logits, labels = case
    found = surprise(calibration.fit_temperature(logits, labels))
    assert found <= min(surprise(other) for other in np.geomspace(LOW, HIGH, 60)) + 1e-4


def test_few_images_move_the_temperature_little_and_many_move_it_far() -> None:
    logits = np.tile(4 * np.eye(3, dtype=np.float32), (4, 1))
    labels = np.tile(np.arange(3), 4)
    few = calibration.fit_temperature(logits, labels)
    assert 0.8 < few < 1, "all right, but only twelve"
    many = calibration.fit_temperature(np.tile(logits, (500, 1)), np.tile(labels, 500))
    assert many < 0.5


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(truth: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 4, (20_000, 3))
    shares = scipy.special.softmax(logits / truth, axis=1)
    labels = (rng.random(len(shares))[:, np.newaxis] > shares.cumsum(axis=1)).sum(axis=1)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(truth, rel=0.05)
    result = calibration.calibrate(logits, labels, 0.9)
    assert result.error_after is not None and result.error_after < 0.015
    if truth != 1:
        assert result.error_before is not None and result.error_before > 0.05


def test_the_ends_are_defined() -> None:
    nothing = calibration.calibrate(np.zeros((0, 3)), np.zeros(0, np.int64), 0.95)
    assert nothing.temperature == pytest.approx(1)
    assert replace(nothing, temperature=1.0) == calibration.Calibration(
        None, 0.0, None, 1.0, 0.95, None, None, 0
    )
    logits = np.eye(3, dtype=np.float32)
    wrong = np.tile([1, 2, 0], 10_000)
    hottest = calibration.fit_temperature(np.tile(logits, (10_000, 1)), wrong)
    assert hottest == pytest.approx(HIGH, rel=1e-4), "all wrong"
    unusable = np.full((4, 3), np.nan), np.zeros(4, np.int64)
    assert calibration.fit_temperature(*unusable) == pytest.approx(1)


CONFIDENCES = st.one_of(st.sampled_from([0.4, 0.6, 0.9, 1.0]), st.floats(0.375, 1, width=32))


@settings(deadline=None)
@given(
    st.lists(st.tuples(CONFIDENCES, st.booleans()), max_size=60),
    st.floats(0, 1),
    st.sampled_from([0.0, calibration.WILSON_QUANTILE]),
)
def test_the_threshold_is_the_lowest_that_reaches_what_is_wanted(
    rows: list[tuple[float, bool]], wanted: float, quantile: float
) -> None:
    confidence = np.array([row[0] for row in rows], np.float64)
    correct = np.array([row[1] for row in rows], bool)
    choice = calibration.choose_threshold(confidence, correct, wanted, quantile)

    def proven(threshold: float) -> float:
        sure = correct[confidence >= threshold]
        if not quantile:
            return float(sure.mean())
        test = scipy.stats.binomtest(int(sure.sum()), len(sure))
        return test.proportion_ci(2 * scipy.stats.norm.cdf(quantile) - 1, "wilson").low

    for lower in confidence[confidence < (choice.threshold or np.inf)]:
        assert proven(lower) < wanted + 1e-9  # it rounds
    if choice.threshold is None:
        assert (choice.coverage, choice.selective_accuracy) == (0, None)
        return
    assert choice.threshold in confidence
    assert proven(choice.threshold) >= wanted - 1e-9
    sure = confidence >= choice.threshold
    assert choice.coverage == pytest.approx(sure.mean())
    assert choice.selective_accuracy == pytest.approx(correct[sure].mean())


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(width=32), st.booleans()), max_size=30), st.floats(0, 1))
def test_wild_confidences_do_no_harm(rows: list[tuple[float, bool]], wanted: float) -> None:
    confidence = np.array([row[0] for row in rows], np.float64)
    choice = calibration.choose_threshold(confidence, np.array([row[1] for row in rows]), wanted)
    assert 0 <= choice.coverage <= (~np.isnan(confidence)).mean() if rows else choice.coverage == 0
    assert choice.threshold is None or np.isfinite(choice.threshold)


def test_few_right_answers_prove_little_and_many_prove_enough() -> None:
    for images, found in ((5, False), (9, True)):
        confidence, correct = np.linspace(0.8, 0.9, images), np.ones(images, bool)
        choice = calibration.choose_threshold(confidence, correct, 0.95)
        assert (choice.threshold is not None) is found, images
    nobody = calibration.choose_threshold(confidence, ~correct, 0.95)
    assert nobody == calibration.Choice(None, 0.0, None)
