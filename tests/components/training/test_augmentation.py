"""Augmented pictures: other pixels, same shape and range, and no luck in them."""

import numpy as np
import pytest
import tensorflow as tf

from components.training import augmentation
from components.training.augmentation import augment

PICTURE = tf.constant(np.random.default_rng(5).integers(0, 256, (40, 40, 3), dtype=np.uint8))
REDDISH = tf.cast(tf.cast(PICTURE, tf.float32) * [1.0, 0.5, 0.2], tf.uint8)


def _seed(number: int) -> tf.Tensor:
    return tf.constant([number, 1], tf.int64)


def test_same_seed_same_picture() -> None:
    np.testing.assert_array_equal(augment(PICTURE, _seed(7), 1.0), augment(PICTURE, _seed(7), 1.0))


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_other_seed_other_picture_in_range(strength: float) -> None:
    pictures = [augment(PICTURE, _seed(number), strength).numpy() for number in range(20)]
    assert all(picture.shape == (40, 40, 3) for picture in pictures)
    assert min(picture.min() for picture in pictures) >= 0
    assert max(picture.max() for picture in pictures) <= 255
    assert len({picture.tobytes() for picture in pictures}) == 20


def test_the_strength_says_how_much_a_picture_changes() -> None:
    smooth = tf.cast(tf.image.resize(PICTURE[:4, :4], (40, 40)), tf.uint8)

    plain = tf.cast(smooth, tf.float32)

    def change(strength: float) -> float:
        changed = [augment(smooth, _seed(number), strength) for number in range(20)]
        # A flip changes any picture by the same, so it counts on neither side.
        nearest = [
            min(np.abs(view - plain).mean(), np.abs(view[:, ::-1] - plain).mean())
            for view in changed
        ]
        return float(np.mean(nearest))

    assert change(0.001) < 2
    assert change(0.001) < change(0.3) < change(1.0)


def test_moving_the_camera_shows_no_black_edge() -> None:
    wall = tf.fill([40, 40, 3], 0.8)
    for number in range(20):
        moved = augmentation._move_camera(wall, 1.0, _seed(number)).numpy()
        np.testing.assert_allclose(moved, 0.8, rtol=1e-5)


def test_a_camera_that_does_not_move_sees_the_same_or_its_mirror_image() -> None:
    picture = tf.cast(PICTURE, tf.float32)
    for number in range(6):
        still = augmentation._move_camera(picture, 0.0, _seed(number)).numpy()
        assert min(np.abs(still - picture).max(), np.abs(still[:, ::-1] - picture).max()) < 0.01


def test_some_pictures_are_grayscale() -> None:
    means = [augment(REDDISH, _seed(number), 1.0).numpy().mean((0, 1)) for number in range(60)]
    gray = sum(np.ptp(mean) < 6 for mean in means)
    assert 2 <= gray <= 20


def test_light_that_does_not_change_leaves_all_colours_as_they_are() -> None:
    picture = tf.cast(PICTURE, tf.float32) / 255
    np.testing.assert_allclose(augmentation._relight(picture, 0.0, _seed(3)), picture, atol=1e-5)


def test_other_colours_leave_gray_gray() -> None:
    gray = tf.tile(tf.cast(PICTURE[..., :1], tf.float32) / 255, [1, 1, 3])
    for number in range(20):
        view = augmentation._relight(gray, 1.0, _seed(number)).numpy()
        np.testing.assert_allclose(view, view[..., :1].repeat(3, axis=2), atol=1e-5)
        assert view.min() >= 0 and view.max() <= 1


def test_a_grayscale_view_has_the_luma_of_its_picture() -> None:
    picture = tf.cast(REDDISH, tf.float32) / 255
    luma = tf.image.rgb_to_grayscale(picture).numpy().ravel()
    found = 0
    for number in range(60):
        view = augmentation._relight(picture, 1.0, _seed(number)).numpy()
        if np.ptp(view, axis=2).max() < 1e-5:
            found += 1
            # Light, contrast and tones keep the order of the pixels.
            tones = view[..., 0].ravel()[np.argsort(luma)]
            assert np.diff(tones).min() > -1e-3
    assert 2 <= found <= 20
