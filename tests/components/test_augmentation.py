"""Augmented pictures: other pixels, same shape and range, and no luck in them."""

import numpy as np
import tensorflow as tf

from components.augmentation import augment

PICTURE = tf.constant(np.random.default_rng(5).integers(0, 256, (40, 40, 3), dtype=np.uint8))


def test_same_seed_same_picture() -> None:
    seed = tf.constant(7, tf.int64)
    np.testing.assert_array_equal(augment(PICTURE, seed), augment(PICTURE, seed))


def test_other_seed_other_picture_in_range() -> None:
    pictures = [augment(PICTURE, tf.constant(seed, tf.int64)).numpy() for seed in range(20)]
    assert all(picture.shape == (40, 40, 3) for picture in pictures)
    assert min(picture.min() for picture in pictures) >= 0
    assert max(picture.max() for picture in pictures) <= 255
    assert len({picture.tobytes() for picture in pictures}) == 20


def test_a_plain_wall_shows_no_black_edge() -> None:
    wall = tf.fill([40, 40, 3], tf.constant(200, tf.uint8))
    for seed in range(20):
        picture = augment(wall, tf.constant(seed, tf.int64)).numpy()
        assert picture.std() < 1, "a shift must bring in room, not a border"


def test_some_pictures_are_grayscale() -> None:
    spread = [
        np.ptp(augment(PICTURE, tf.constant(seed, tf.int64)).numpy(), axis=-1).max()
        for seed in range(60)
    ]
    gray = sum(value < 1 for value in spread)
    assert 1 <= gray <= 20
