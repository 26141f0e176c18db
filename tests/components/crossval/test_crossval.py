"""Folds without leaks, and figures that sum up what was answered."""

import errno
import multiprocessing
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.crossval.cells import cell
from components.crossval.pool import Pool, Split, clip_folds, tranche_folds
from components.crossval.trials import (
    FROZEN_LAYERS,
    TRAININGS,
    Report,
    Trial,
    Trials,
    _hear,
    _run_some,
)
from components.errors import InputError
from tests.support.small_training import SETTINGS


def _pool(clips: list[int], labels: list[int], tranches: list[int]) -> Pool:
    return Pool(
        [],
        np.array(labels, np.int64),
        np.array([f"clip {clip}" for clip in clips]),
        np.array([str(tranche) for tranche in tranches]),
    )


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """At least ten clips of one to six images, in three tranches, all postures."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=10, max_size=30))
    clips = [clip for clip, size in enumerate(sizes) for _ in range(size)]
    return _pool(clips, [n % 3 for n in range(len(clips))], [1 + clip % 3 for clip in clips])


def test_too_few_clips_for_the_folds_are_refused() -> None:
    with pytest.raises(InputError, match="2 clips are too few for 3 folds"):
        clip_folds(_pool([0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]), 3, 0)
    with pytest.raises(InputError, match="3 clips are too few for 3 folds"):
        clip_folds(_pool([0, 1, 2], [0, 1, 2], [1, 1, 1]), 3, 0)


def test_a_tranche_alone_is_not_held_out() -> None:
    assert tranche_folds(_pool([0, 1, 2], [0, 1, 2], [1, 1, 1])) == []


@settings(max_examples=30)
@given(pool=pools(), folds=st.integers(2, 5), seed=st.integers(0, 5))
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_every_image_is_held_out_once_and_no_clip_is_on_two_sides(
    pool: Pool, folds: int, seed: int
) -> None:
    for splits in (clip_folds(pool, folds, seed), tranche_folds(pool)):
        held_out = np.concatenate([split.held_out for split in splits])
        assert sorted(held_out) == list(range(len(pool.labels)))
        for split in splits:
            assert sorted([*split.train, *split.held_out]) == sorted(held_out)
            assert not set(pool.clips[split.train]) & set(pool.clips[split.held_out])
    tranches = [set(pool.tranches[split.held_out]) for split in tranche_folds(pool)]
    assert tranches == [{"1"}, {"2"}, {"3"}]


def test_a_cell_counts_images_and_its_interval_clips() -> None:
    # Clip 0 has nine images that are all wrong, nine clips of one image are right.
    pool = _pool([0] * 9 + list(range(1, 10)), [0] * 18, [1] * 18)
    probabilities = np.tile(np.array([[0.6, 0.3, 0.1]], np.float32), (18, 1))
    probabilities[:9] = [0.1, 0.3, 0.6]
    split = Split("clips", np.array([], np.int64), np.arange(18))
    found = cell("default", "clips", pool, [[(split, probabilities)]] * 2)
    assert found.accuracies == [0.5, 0.5] and found.accuracy == 0.5
    assert found.calibration_error == pytest.approx(0.1, abs=1e-6)
    # All errors are in one clip of half of the images, so the images are worth two.
    expected = stats.binomtest(1, 2).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_seeds_are_averaged() -> None:
    pool = _pool([0, 1], [0, 1], [1, 2])
    split = Split("clips", np.array([], np.int64), np.arange(2))
    right, half = np.eye(3, dtype=np.float32)[[0, 1]], np.eye(3, dtype=np.float32)[[0, 0]]
    found = cell("plain", "clips", pool, [[(split, right)], [(split, half)]])
    assert found.accuracies == [1.0, 0.5] and found.accuracy == 0.75


class _Failing(Trials):
    """Trials whose second one fails."""

    error: Exception

    def run(self, trial: Trial, report: Report) -> None:
        report(FROZEN_LAYERS, 1, 2)
        if trial.seed:
            raise self.error


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A child's own way with Ctrl-C is not to stay."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            OSError(errno.ENOSPC, "No space left on device"),
        ),
        (
            MemoryError(),
            InputError(
                "Memory was short (MemoryError); with more memory, the same command continues"
                " after the finished steps."
            ),
        ),
    ],
)
def test_what_fails_in_a_child_is_told_to_its_parent(
    tmp_path: Path, error: Exception, told: Exception
) -> None:
    split = Split("clips", np.array([0]), np.array([1]))
    trials = _Failing(_pool([0, 1], [0, 1], [1, 2]), SETTINGS, tmp_path, tmp_path, "code")
    trials.error = error
    receiver, sender = multiprocessing.Pipe(duplex=False)
    _run_some(trials, [Trial("default", split, seed) for seed in range(3)], 4, 7, sender)
    sender.close()
    heard = []
    while (words := _hear(receiver)) is not None:
        heard.append(words)
    assert heard[:-1] == [(FROZEN_LAYERS, 1, 2), (TRAININGS, 5, 7), (FROZEN_LAYERS, 1, 2)]
    assert (type(heard[-1]), heard[-1].args) == (type(told), told.args)
