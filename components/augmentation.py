"""Training pictures made different, labels kept: flips, small shifts, light.

Stateless ops on single pictures: the result depends on the seed alone, not on
how many threads read the data.
"""

from typing import Final

import tensorflow as tf

SMALLEST_CROP: Final = 0.8  # side of the crop, share of the picture's
LARGEST_SHIFT: Final = 0.1  # beyond the picture's edge, share of its side
BRIGHTNESS: Final = 0.15  # added, share of full scale
CONTRAST: Final = (0.75, 1.25)
SATURATION: Final = (0.5, 1.5)
GRAYSCALE_SHARE: Final = 0.1  # near-infrared cameras see no colour


def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Flips, crops, shifts and relights one picture.

    Args:
      image: uint8 [size, size, 3].
      seed: int64 scalar; the same seed gives the same picture.

    Returns:
      float32 [size, size, 3] in 0..255.
    """
    size = image.shape[0]
    seeds = tf.random.experimental.stateless_split(tf.stack([seed, seed ^ 0x5DEECE66D]), 7)
    picture = tf.cast(image, tf.float32) / 255
    picture = tf.image.stateless_random_flip_left_right(picture, seeds[0])
    picture = _crop_and_shift(picture, size, seeds[1])
    picture = tf.image.stateless_random_brightness(picture, BRIGHTNESS, seeds[2])
    picture = tf.image.stateless_random_contrast(picture, *CONTRAST, seeds[3])
    picture = tf.image.stateless_random_saturation(picture, *SATURATION, seeds[4])
    gray = tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(picture))
    is_gray = tf.random.stateless_uniform([], seeds[5]) < GRAYSCALE_SHARE
    return tf.clip_by_value(tf.where(is_gray, gray, picture), 0, 1) * 255


def _crop_and_shift(picture: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
    draws = tf.random.stateless_uniform([3], seed)
    side = SMALLEST_CROP + draws[0] * (1 - SMALLEST_CROP)
    slack = 1 - side + 2 * LARGEST_SHIFT
    corner = draws[1:] * slack - LARGEST_SHIFT
    # The edge is reflected, so that a shift brings in room, not black.
    margin = round(size * LARGEST_SHIFT)
    padded = tf.pad(picture, [[margin, margin], [margin, margin], [0, 0]], mode="REFLECT")
    scale = size / (size + 2 * margin)
    top_left = (corner + LARGEST_SHIFT) * scale
    box = tf.concat([top_left, top_left + side * scale], axis=0)
    cropped = tf.image.crop_and_resize(padded[tf.newaxis], box[tf.newaxis], [0], [size, size])
    return tf.ensure_shape(cropped[0], [size, size, 3])
