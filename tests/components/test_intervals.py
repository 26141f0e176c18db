"""Intervals that count clips: against SciPy for clips of one frame, and on simulated clips."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from components.intervals import (
    QUANTILE,
    accuracy_interval,
    difference_interval,
    effective_images,
    effective_pairs,
    tango_interval,
    wilson_bound,
)

# Images of each clip and how many of them are right.
CLIPS = st.lists(
    st.integers(1, 40).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    min_size=1,
    max_size=50,
)
# Images of each clip, and how many of them only one of two models got right.
CHANGES = st.lists(
    st.tuples(*[st.integers(0, 20)] * 3).filter(any).map(lambda n: (sum(n), n[1], n[2])),
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
    assert np.isnan(difference_interval(np.zeros(0), np.zeros(0), np.zeros(0))).all()


@given(CHANGES, st.integers(2, 9))
def test_more_frames_of_the_same_clips_say_nothing_more_of_a_difference(
    clips: list[tuple[int, int, int]], times: int
) -> None:
    counts = np.array(clips, float).T
    assert difference_interval(*(times * counts)) == pytest.approx(difference_interval(*counts))


@given(CHANGES)
def test_the_interval_holds_the_difference_and_has_a_width(
    clips: list[tuple[int, int, int]],
) -> None:
    images, gained, lost = np.array(clips, float).T
    low, high = difference_interval(images, gained, lost)
    difference = (gained.sum() - lost.sum()) / images.sum()
    assert -1 <= low - 1e-9 <= difference <= high + 1e-9
    assert high <= 1 and high - low > 0.01
    assert difference_interval(images, lost, gained) == pytest.approx((-high, -low))


@given(CHANGES)
def test_pairs_are_no_more_than_clips(clips: list[tuple[int, int, int]]) -> None:
    images, gained, lost = np.array(clips, float).T
    assert 0 < effective_pairs(images, gained + lost) <= len(images) + 1e-9


@pytest.mark.parametrize("pairs", [10, 44, 300])
@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (0, 3), (4, 2), (5, 5)])
def test_tangos_interval_inverts_the_score_test(pairs: int, gained: int, lost: int) -> None:
    """At its ends, the observed difference is the quantile's standard errors away.

    The standard error is that of the likeliest shares with that difference, found by search.
    """
    ends = tango_interval(np.array(pairs), np.array(gained), np.array(lost))
    for end in map(float, ends):

        def surprise(share: float, end: float = end) -> float:
            chances = (share + end, share, 1 - 2 * share - end)
            counts = (gained, lost, pairs - gained - lost)
            return -sum(n * math.log(p) for n, p in zip(counts, chances, strict=True) if n)

        least, most = max(0.0, -end), (1 - end) / 2
        found = optimize.minimize_scalar(
            surprise, bounds=(least, most), method="bounded", options={"xatol": 1e-12}
        )
        variance = pairs * (2 * found.x + end - end**2)
        distance = gained - lost - pairs * end
        assert abs(distance) / math.sqrt(variance) == pytest.approx(QUANTILE, rel=1e-3)


@pytest.mark.parametrize("sizes", [[1], [1, 1, 2, 4, 8, 20]])
def test_nineteen_of_twenty_intervals_hold_the_true_difference(sizes: list[int]) -> None:
    """Clips change as a whole: one in 20 is lost, one in 100 gained."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        images, chance = rng.choice(sizes, 60).astype(float), rng.random(60)
        low, high = difference_interval(images, images * (chance > 0.99), images * (chance < 0.05))
        held += low <= 0.01 - 0.05 <= high
    assert held >= 0.93 * 400
