"""Order, balance and views of an epoch, from pictures and from stored features."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.training import network
from components.training.frozen_features import FeatureCache
from components.training.training_data import (
    UNLIMITED,
    Examples,
    Part,
    Pictures,
    Sampling,
    evaluation_data,
    mixup,
    read_split,
    training_data,
)
from schema import features
from tests.support.examples import Row, write

SIZE = 32
LABELS = [0] * 12 + [1] * 6 + [2] * 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A transformed split; the grey of a picture tells which it is."""

    def row(index: int, label: int) -> Row:
        png = tf.io.encode_png(np.full((SIZE, SIZE, 3), 10 * index, np.uint8)).numpy()
        return {features.IMAGE: png, features.LABEL: label, features.CLIP: str(index // 2)}

    path = tmp_path_factory.mktemp("split") / "part-0.gz"
    return [str(write(path, [row(index, label) for index, label in enumerate(LABELS)]))]


@pytest.fixture(scope="module")
def pictures(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return Pictures(files, tmp_path_factory.mktemp("copy") / "pictures", SIZE, 1.0)


@pytest.fixture(scope="module")
def posture_model(tmp_path_factory: pytest.TempPathFactory) -> keras.Model:
    keras.utils.set_random_seed(3)
    built = network.build_model(SIZE, 0.35, "none")
    network.open_layers(built, 100)
    return built


SAMPLING = Sampling(
    batch_size=4, views=1, oversample=False, class_weights={0: 0.5, 2: 3.0}, mixup=0.0, seed=5
)


def _epoch(examples: Examples, **changed: Any) -> list[tuple[np.ndarray, ...]]:
    return list(training_data(examples, replace(SAMPLING, **changed)).as_numpy_iterator())


def _order(batches: list[tuple[np.ndarray, ...]]) -> list[int]:
    inputs = np.concatenate([batch[0] for batch in batches])
    return [round(value / 10) for value in inputs[:, 0, 0, 0]]


def test_an_epoch_has_every_picture_once_in_another_order_each_time(pictures: Pictures) -> None:
    data = training_data(pictures, SAMPLING)
    orders = [_order(list(data.as_numpy_iterator())) for _ in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
    assert orders[0] != orders[1]
    labels = np.concatenate([targets.argmax(1) for _, targets, _ in _epoch(pictures)])
    assert labels.tolist() == [LABELS[index] for index in _order(_epoch(pictures))]
    assert int(data.cardinality()) == 5


@pytest.mark.parametrize("oversample", [False, True])
def test_same_seed_same_epoch_whatever_the_threads(pictures: Pictures, oversample: bool) -> None:
    first, second = (
        _epoch(pictures, views=UNLIMITED, oversample=oversample, mixup=0.3) for _ in range(2)
    )
    for batch, same in zip(first, second, strict=True):
        for values, same_values in zip(batch, same, strict=True):
            np.testing.assert_array_equal(values, same_values)


def test_oversampling_balances_the_training_split_only(pictures: Pictures) -> None:
    data = training_data(pictures, replace(SAMPLING, oversample=True))
    labels = np.concatenate(
        [targets.argmax(1) for _ in range(20) for _, targets, _ in data.as_numpy_iterator()]
    )
    assert len(labels) == 20 * len(LABELS)
    assert np.bincount(labels) / len(labels) == pytest.approx([1 / 3] * 3, abs=0.08)
    held_back = [
        targets.argmax(1) for _, targets in evaluation_data(pictures, 3).as_numpy_iterator()
    ]
    assert np.concatenate(held_back).tolist() == LABELS


def test_no_dataset_ends_later_than_its_last_element(files: list[str], pictures: Pictures) -> None:
    """With the autotuner it may, by as long as it took: see `record_reader`."""
    for data in (
        read_split(files),
        training_data(pictures, SAMPLING),
        evaluation_data(pictures, 4),
    ):
        assert data.options().autotune.enabled is False


def test_each_class_has_its_weight(pictures: Pictures) -> None:
    for _, targets, weights in _epoch(pictures):
        expected = {0: 0.5, 1: 1.0, 2: 3.0}
        assert weights.tolist() == [expected[label] for label in targets.argmax(1)]


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs that tell the examples apart, targets (float32 [n, 3]) and weights."""
    labels = draw(st.lists(st.integers(0, 2), min_size=1, max_size=9))
    by_class = draw(st.lists(st.floats(0.05, 20), min_size=3, max_size=3))
    weights = np.array(by_class, np.float32)[labels]
    return np.eye(len(labels), dtype=np.float32), np.eye(3, dtype=np.float32)[labels], weights


@given(batches(), st.floats(0.05, 5), st.integers(0, 2**31))
def test_the_loss_of_mixed_examples_is_the_mix_of_their_weighted_losses(
    batch: tuple[np.ndarray, np.ndarray, np.ndarray], parameter: float, seed: int
) -> None:
    _, targets, weights = batch
    # The inputs are unit vectors, so that the mixed ones are the shares of each example.
    shares, mixed_targets, mixed_weights = mixup(*map(tf.constant, batch), parameter, [seed, 7])
    assert (np.diag(shares) >= 0.5).all()
    np.testing.assert_allclose(np.sum(mixed_targets, axis=1), 1, rtol=1e-5)
    answers = np.random.default_rng(seed).dirichlet([2, 2, 2], len(weights)).astype(np.float32)
    crossentropy = keras.losses.CategoricalCrossentropy(reduction=None)
    # Of each answer against the label of each example, [answers, examples].
    losses = weights * -np.log(answers)[:, targets.argmax(axis=1)]
    found = crossentropy(mixed_targets, answers, mixed_weights).numpy()
    np.testing.assert_allclose(found, (shares.numpy() * losses).sum(axis=1), rtol=1e-3, atol=1e-5)


def test_mixed_batches_weigh_as_their_examples_do(pictures: Pictures) -> None:
    plain, mixed = _epoch(pictures), _epoch(pictures, mixup=1.0)
    for (inputs, targets, weights), (found, *both) in zip(plain, mixed, strict=True):
        own, neighbour = inputs[:, 0, 0, 0], np.roll(inputs[:, 0, 0, 0], 1)
        share = ((found[:, 0, 0, 0] - neighbour) / (own - neighbour))[:, np.newaxis]
        assert ((share >= 0.499) & (share <= 1.001)).all() and (share < 0.999).any()
        weighted = weights[:, np.newaxis] * targets
        expected = share * weighted + (1 - share) * np.roll(weighted, 1, axis=0)
        mixed_targets, mixed_weights = both
        np.testing.assert_allclose(
            mixed_weights[:, np.newaxis] * mixed_targets, expected, atol=1e-3
        )


def test_view_0_is_the_picture_and_the_others_are_not(pictures: Pictures) -> None:
    plain = np.concatenate([batch for batch, _ in evaluation_data(pictures, 7).as_numpy_iterator()])
    assert (plain == plain[:, :1, :1, :1]).all()
    seen = np.concatenate([batch[0] for batch in _epoch(pictures, views=UNLIMITED)])
    assert (seen.std(axis=(1, 2, 3)) > 0).any() or not np.isin(seen, plain).all()


def test_a_part_has_its_own_examples_only(pictures: Pictures) -> None:
    members = np.array([3, 12, 19])
    part = Part(pictures, members)
    assert part.labels.tolist() == [0, 1, 2]
    assert part.clips.tolist() == [b"%d" % (member // 2) for member in members]
    assert sorted(_order(_epoch(part))) == members.tolist()


@pytest.mark.parametrize("end", [network.POOL, "block_10_project_BN"])
def test_stored_features_are_what_the_frozen_layers_make_of_the_same_views(
    files: list[str], pictures: Pictures, posture_model: keras.Model, tmp_path: Path, end: str
) -> None:
    cache = FeatureCache(tmp_path, posture_model, [end], views=3, strength=1.0)
    stored = cache.features(files, lambda done, total: None)[end]
    assert stored.end == end and stored.labels.tolist() == LABELS
    frozen = network.up_to(posture_model, [end])
    for (rows, targets, weights), (images, same_targets, same_weights) in zip(
        _epoch(stored, views=3), _epoch(pictures, views=3), strict=True
    ):
        np.testing.assert_array_equal(targets, same_targets)
        np.testing.assert_array_equal(weights, same_weights)
        np.testing.assert_allclose(rows, frozen(images)[end], rtol=2e-3, atol=2e-3)


def test_only_what_is_missing_is_computed(
    files: list[str], posture_model: keras.Model, tmp_path: Path
) -> None:
    heard: list[tuple[int, int]] = []
    first = FeatureCache(tmp_path, posture_model, [network.POOL], views=2, strength=1.0)
    first.features(files, lambda *counts: heard.append(counts))
    assert heard[-1] == (20, 20)
    heard.clear()
    # The same pictures for one more layer, then nothing is missing.
    both = FeatureCache(
        tmp_path, posture_model, [network.POOL, "block_12_add"], views=2, strength=1.0
    )
    # Eight pictures at a time: two views of each are a batch.
    for expected in ([(8, 20), (16, 20), (20, 20)], []):
        heard.clear()
        found = both.features(files, lambda *counts: heard.append(counts))
        assert heard == expected and set(found) == {network.POOL, "block_12_add"}
    sizes = {path.parent.name: path.stat().st_size for path in tmp_path.glob("*/*/rows")}
    assert sizes[network.POOL] == 20 * 2 * 1280 * 2


def test_other_weights_are_another_cache_and_old_ones_go(
    files: list[str], posture_model: keras.Model, tmp_path: Path
) -> None:
    other = network.build_model(SIZE, 0.35, "none")
    folders = [
        FeatureCache(tmp_path, each, [network.POOL], views, 1.0).folder
        for each, views in ((posture_model, 1), (posture_model, 2), (other, 1), (other, 2))
    ]
    assert set(tmp_path.iterdir()) == set(folders) and len(set(folders)) == 4
    folders.append(FeatureCache(tmp_path, other, [network.POOL], 3, 1.0).folder)
    assert set(tmp_path.iterdir()) == set(folders[1:])


def test_features_of_this_training_stay_also_after_the_clock_was_set_back(
    files: list[str], posture_model: keras.Model, tmp_path: Path
) -> None:
    folders = []
    for views in (1, 2, 3, 4):
        tomorrow = time.time() + 86_400 + views
        folders.append(FeatureCache(tmp_path, posture_model, [network.POOL], views, 1.0).folder)
        os.utime(folders[-1], (tomorrow, tomorrow))
    cache = FeatureCache(tmp_path, posture_model, [network.POOL], 5, 1.0)
    assert len(cache.features(files, lambda done, total: None)[network.POOL].labels) == len(LABELS)
    assert set(tmp_path.iterdir()) == {*folders[1:], cache.folder}
