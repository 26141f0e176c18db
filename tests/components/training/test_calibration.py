"""Temperature and threshold against brute force, on wild logits, and on data of known truth."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.intervals import wilson_bound
from components.training import calibration

LOW, HIGH = calibration.TEMPERATURES
WILD = st.floats(width=32)  # NaN, infinities and the largest float32 among them
SIZES = st.integers(0, 25)


Answers = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def answers(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Answers:
    """Logits float32 [n, 3], labels int64 [n] and clips int64 [n]."""
    size = draw(SIZES)
    logits = draw(arrays.arrays(np.float32, (size, 3), elements=values))
    labels = draw(arrays.arrays(np.int64, size, elements=st.integers(0, 2)))
    return logits, labels, draw(arrays.arrays(np.int64, size, elements=st.integers(0, 5)))


def loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    shares = scipy.special.log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return -shares[np.arange(len(labels)), labels]


@given(answers(WILD))
def test_whatever_the_logits_the_temperature_is_usable(case: Answers) -> None:
    temperature = calibration.fit_temperature(*case)
    assert LOW <= temperature <= HIGH


@given(answers(st.floats(-30, 30, width=32)))
def test_no_other_temperature_explains_the_clips_better(case: Answers) -> None:
    def surprise(temperature: float) -> float:
        prior = scipy.stats.norm(scale=calibration.TEMPERATURE_SPREAD)
        losses = loss(logits, labels, temperature)
        likelihood = sum(losses[clips == clip].mean() for clip in set(clips.tolist()))
        return float(likelihood - prior.logpdf(np.log(temperature)))

    logits, labels, clips = case
    found = surprise(calibration.fit_temperature(*case))
    assert found <= min(surprise(other) for other in np.geomspace(LOW, HIGH, 60)) + 1e-4


def test_few_images_move_the_temperature_little_and_many_move_it_far() -> None:
    logits = np.tile(4 * np.eye(3, dtype=np.float32), (4, 1))
    labels = np.tile(np.arange(3), 4)
    few = calibration.fit_temperature(logits, labels, np.arange(12))
    assert 0.8 < few < 1, "all right, but only twelve"
    many = np.tile(logits, (500, 1)), np.tile(labels, 500)
    assert calibration.fit_temperature(*many, np.arange(6000)) < 0.5
    again = calibration.fit_temperature(*many, np.tile(np.arange(12), 500))
    assert again == pytest.approx(few), "the same twelve, 500 frames of each"


def test_one_long_clip_does_not_make_the_model_doubt_everything() -> None:
    logits = np.tile(4 * np.eye(3, dtype=np.float32), (20, 1))
    labels = np.where(np.arange(60) < 30, 0, np.arange(60) % 3)  # the first 30: two in three wrong
    clips = np.maximum(np.arange(60) - 29, 0)
    assert calibration.fit_temperature(logits, labels, np.arange(60)) > 1.5
    assert calibration.fit_temperature(logits, labels, clips) < 1.1


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(truth: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 4, (20_000, 3))
    shares = scipy.special.softmax(logits / truth, axis=1)
    labels = (rng.random(len(shares))[:, np.newaxis] > shares.cumsum(axis=1)).sum(axis=1)
    clips = np.arange(len(labels))
    found = calibration.fit_temperature(logits, labels, clips)
    assert found == pytest.approx(truth, rel=0.05)
    result = calibration.calibrate(logits, labels, clips, 0.9)
    assert result.error_after is not None and result.error_after < 0.015
    if truth != 1:
        assert result.error_before is not None and result.error_before > 0.05


def test_the_ends_are_defined() -> None:
    none = np.zeros(0, np.int64)
    nothing = calibration.calibrate(np.zeros((0, 3)), none, none, 0.95)
    assert nothing.temperature == pytest.approx(1)
    assert replace(nothing, temperature=1.0) == calibration.Calibration(
        None, 0.0, None, 1.0, 0.95, None, None, 0, 0
    )
    logits = np.eye(3, dtype=np.float32)
    wrong = np.tile([1, 2, 0], 10_000)
    images = np.arange(len(wrong))
    hottest = calibration.fit_temperature(np.tile(logits, (10_000, 1)), wrong, images)
    assert hottest == pytest.approx(HIGH, rel=1e-4), "all wrong"
    unusable = np.full((4, 3), np.nan), np.zeros(4, np.int64), np.arange(4)
    assert calibration.fit_temperature(*unusable) == pytest.approx(1)


CONFIDENCES = st.one_of(st.sampled_from([0.4, 0.6, 0.9, 1.0]), st.floats(0.375, 1, width=32))
IMAGES = st.lists(st.tuples(CONFIDENCES, st.booleans(), st.integers(0, 20)), max_size=60)
# Accuracies worth asking for: above them one image proves nothing.
WANTED = st.floats(0.75, 1)

Rows = list[tuple[float, bool, int]]


def columns(rows: Rows) -> Answers:
    """Confidence, whether it is right, and clip of each image."""
    confidence, correct, clips = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(confidence, float), np.array(correct, bool), np.array(clips, int)


@given(IMAGES, st.floats(0, 1), st.sampled_from([0.0, calibration.WILSON_QUANTILE]))
def test_the_threshold_is_the_lowest_that_reaches_what_is_wanted(
    rows: Rows, wanted: float, quantile: float
) -> None:
    confidence, correct, clips = columns(rows)
    choice = calibration.choose_threshold(confidence, correct, clips, wanted, quantile)

    def proven(threshold: float) -> float:
        sure = confidence >= threshold
        clips_of_it = len(set(clips[sure].tolist()))
        bound = wilson_bound(np.array([correct[sure].mean()]), np.array([clips_of_it]), quantile)
        return float(bound[0])

    for lower in confidence[confidence < (choice.threshold or np.inf)]:
        assert proven(lower) < wanted + 1e-6  # it rounds
    if choice.threshold is None:
        assert (choice.coverage, choice.selective_accuracy) == (0, None)
        return
    assert choice.threshold in confidence
    assert proven(choice.threshold) >= wanted - 1e-6
    sure = confidence >= choice.threshold
    assert choice.coverage == pytest.approx(sure.mean())
    assert choice.selective_accuracy == pytest.approx(correct[sure].mean())


@given(st.lists(st.tuples(st.floats(width=32), st.booleans()), max_size=30), st.floats(0, 1))
def test_wild_confidences_do_no_harm(rows: list[tuple[float, bool]], wanted: float) -> None:
    confidence, correct, clips = columns([(*row, 0) for row in rows])
    choice = calibration.choose_threshold(confidence, correct, clips, wanted)
    assert 0 <= choice.coverage <= (~np.isnan(confidence)).mean() if rows else choice.coverage == 0
    assert choice.threshold is None or np.isfinite(choice.threshold)


@given(st.lists(CONFIDENCES, min_size=1, max_size=200), WANTED)
def test_the_frames_of_one_clip_never_prove_anything(sure: list[float], wanted: float) -> None:
    rows = [(confidence, True, 0) for confidence in sure]
    assert calibration.choose_threshold(*columns(rows), wanted).threshold is None


@given(IMAGES, WANTED, st.integers(2, 5))
def test_more_frames_like_those_of_a_clip_change_nothing(
    rows: Rows, wanted: float, times: int
) -> None:
    once = calibration.choose_threshold(*columns(rows), wanted)
    again = calibration.choose_threshold(*columns(rows * times), wanted)
    assert (again.threshold, again.coverage) == (once.threshold, pytest.approx(once.coverage))


@pytest.mark.parametrize(("clips", "is_found"), [(8, False), (9, True)])
def test_nine_right_clips_prove_095(clips: int, is_found: bool) -> None:
    for frames in (1, 4):
        rows = [(0.9, True, clip) for clip in range(clips)] * frames
        choice = calibration.choose_threshold(*columns(rows), 0.95)
        assert (choice.threshold is not None) is is_found


def test_a_model_that_is_mostly_right_is_sure_of_most_on_22_clips() -> None:
    """Sizes as on the photos; one long clip is wrong, with a middling confidence."""
    sizes = [1] * 8 + [2] * 9 + [7, 7, 7, 12, 14]
    rows = [
        (0.7 if clip == 20 else 0.9 + clip / 1000, clip != 20, clip)
        for clip, size in enumerate(sizes)
        for _ in range(size)
    ]
    choice = calibration.choose_threshold(*columns(rows), 0.95)
    assert choice.coverage > 0.8 and choice.selective_accuracy == 1


def test_nobody_right_nobody_sure() -> None:
    rows = [(0.9, False, clip) for clip in range(50)]
    assert calibration.choose_threshold(*columns(rows), 0.95) == calibration.Choice(None, 0.0, None)


@pytest.mark.parametrize("frames", [1, 4])
def test_the_error_by_chance_is_that_of_a_coin_for_each_clip(frames: int) -> None:
    clips = np.arange(400) // frames
    # Mean absolute deviation of a share, by de Moivre: sqrt(2 p q / (pi n)).
    expected = np.sqrt(2 * 0.7 * 0.3 / (np.pi * 400 / frames))
    found = calibration.calibration_error_by_chance(np.full(400, 0.7), clips)
    assert found == pytest.approx(expected, rel=0.1)
    assert calibration.calibration_error_by_chance(np.ones(400), clips) == 0, "no luck in it"
    assert calibration.calibration_error_by_chance(np.zeros(0), np.zeros(0)) == 0
