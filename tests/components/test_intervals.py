"""Intervals that count clips: against SciPy for clips of one frame, and on simulated clips."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from components.intervals import (
    QUANTILE,
    accuracy_interval,
    difference_interval,
    effective_images,
    wilson_bound,
)

# Images of each clip and how many of them are right.
CLIPS = st.lists(
    st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    min_size=1,
    max_size=50,
)


def _columns(clips: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    images, values = np.array(clips, float).T
    return images, values


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_clips_of_one_frame_have_the_wilson_interval(counts: tuple[int, int]) -> None:
    images, right = counts
    expected = stats.binomtest(right, images).proportion_ci(method="wilson")
    found = accuracy_interval(np.ones(images), np.arange(images) < right)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(CLIPS, st.integers(2, 9))
def test_more_frames_of_the_same_clips_say_nothing_more(
    clips: list[tuple[int, int]], times: int
) -> None:
    images, right = _columns(clips)
    assert accuracy_interval(times * images, times * right) == pytest.approx(
        accuracy_interval(images, right)
    )


@given(CLIPS)
def test_the_interval_of_the_errors_is_the_mirror_image(clips: list[tuple[int, int]]) -> None:
    images, right = _columns(clips)
    low, high = accuracy_interval(images, right)
    assert accuracy_interval(images, images - right) == pytest.approx((1 - high, 1 - low))


@given(CLIPS)
def test_images_are_worth_no_more_than_their_clips(clips: list[tuple[int, int]]) -> None:
    images, right = _columns(clips)
    kish = images.sum() ** 2 / (images**2).sum()
    assert 0 < effective_images(images, right) <= kish + 1e-9 <= len(images) + 2e-9


@given(CLIPS)
def test_the_interval_holds_the_accuracy_and_has_a_width(clips: list[tuple[int, int]]) -> None:
    images, right = _columns(clips)
    low, high = accuracy_interval(images, right)
    assert 0 <= low <= right.sum() / images.sum() + 1e-9
    assert right.sum() / images.sum() - 1e-9 <= high <= 1
    assert high - low > 0.01


@pytest.mark.parametrize("alike", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("accuracy", [0.8, 0.95])
def test_nineteen_of_twenty_intervals_hold_the_truth(alike: float, accuracy: float) -> None:
    """Whether frames are right is drawn by clip; `alike` is their intraclass correlation."""
    rng = np.random.default_rng(11)
    rest = (1 - alike) / alike
    held = by_image = 0
    for _ in range(400):
        images = rng.choice([1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 8.0, 20.0], 60)
        shares = rng.beta(accuracy * rest, (1 - accuracy) * rest, len(images))
        right = rng.binomial(images.astype(int), shares).astype(float)
        low, high = accuracy_interval(images, right)
        held += low <= accuracy <= high
        alone = stats.binomtest(int(right.sum()), int(images.sum())).proportion_ci()
        by_image += alone.low <= accuracy <= alone.high
    assert held >= 0.93 * 400
    assert by_image < held


@pytest.mark.parametrize("accuracy", [0.8, 0.92])
@pytest.mark.parametrize("clips", [60, 300])
def test_the_interval_holds_where_long_clips_err_more_often(accuracy: float, clips: int) -> None:
    """A clip errs as a whole, with a chance in proportion to its size."""
    rng = np.random.default_rng(5)
    sizes = np.repeat([1.0, 2.0, 7.0, 14.0, 20.0], [48, 58, 24, 12, 5])
    chance = np.minimum(1, (1 - accuracy) * sizes * sizes.sum() / (sizes**2).sum())
    truth = 1 - (sizes * chance).sum() / sizes.sum()
    held = by_kish = 0
    for _ in range(1000):
        drawn = rng.integers(len(sizes), size=clips)
        images = sizes[drawn]
        right = np.where(rng.random(clips) < chance[drawn], 0, images)
        low, high = accuracy_interval(images, right)
        held += low <= truth <= high
        kish = images.sum() ** 2 / (images**2).sum()
        ends = wilson_bound(
            np.array([right.sum(), (images - right).sum()]) / images.sum(),
            np.full(2, kish),
            QUANTILE,
        )
        by_kish += ends[0] <= truth <= 1 - ends[1]
    assert held >= 930
    assert by_kish < held


def test_without_images_there_is_no_interval() -> None:
    assert np.isnan(accuracy_interval(np.zeros(0), np.zeros(0))).all()
    assert np.isnan(difference_interval(np.zeros(0), np.zeros(0))).all()


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=60))
def test_the_difference_of_single_frames_has_students_interval(gained: list[float]) -> None:
    found = difference_interval(np.ones(len(gained)), np.array(gained))
    if len(set(gained)) == 1:
        assert np.isnan(found).all()
        return
    expected = stats.ttest_1samp(gained, 0).confidence_interval()
    assert found == pytest.approx((max(-1, expected.low), min(1, expected.high)))


@given(CLIPS, st.integers(2, 9))
def test_more_frames_of_the_same_clips_say_nothing_more_of_a_difference(
    clips: list[tuple[int, int]], times: int
) -> None:
    images, gained = _columns(clips)
    low, high = difference_interval(images, gained)
    assert difference_interval(times * images, times * gained) == pytest.approx(
        (low, high), nan_ok=True, abs=1e-9
    )
    assert math.isnan(low) or -1 <= low <= gained.sum() / images.sum() <= high <= 1
