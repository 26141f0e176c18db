"""Augmentation: pictures as other rooms, cameras and lights might show them.

Stateless ops on single pictures: the result depends on the seed alone, not on the number of
threads. A strength below 1 scales all ranges and probabilities.
"""

import math
from typing import Final

import numpy as np
import tensorflow as tf

# Camera.
ROTATION: Final = 0.14  # either way, radians
ZOOM: Final = (0.65, 1.1)  # side of the visible part, share of the picture's
STRETCH: Final = 0.15  # either way, natural logarithm of the ratio of width to height
SLACK: Final = 0.08  # minimum total range of shifts, share of the picture's side
# Light and sensor.
BRIGHTNESS: Final = 0.2  # either way, share of full scale
CONTRAST: Final = 0.4  # either way from 1
SATURATION: Final = 0.65  # either way from 1
HUE: Final = 0.08  # either way, turns of the colour circle
CURVE: Final = 0.55  # either way, strength of the tone curve; mid-grey moves by a quarter of it
NOISE: Final = 0.04  # standard deviation, share of full scale
# Probabilities.
GRAYSCALE_SHARE: Final = 0.15  # near-infrared cameras see no colour
BLUR_SHARE: Final = 0.15
NOISE_SHARE: Final = 0.3
BOX_SHARE: Final = 0.15  # staff, curtains and tables may hide the person
BOX: Final = (0.1, 0.35)  # side of the box, share of the picture's

# From RGB to luma and two chroma values, and back: YIQ with the luma of ITU-R BT.601.
_GRAY: Final = np.array([0.299, 0.587, 0.114], np.float32)
_TO_CHROMA: Final = np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_FROM_CHROMA: Final = np.linalg.inv(np.vstack([_GRAY, _TO_CHROMA]))[:, 1:]
_BLURS: Final = 3  # passes of a 3 x 3 binomial filter: a standard deviation of 1.2 pixels


def augment(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Augments one picture.

    Args:
      image: uint8 [size, size, 3].
      seed: int64 [2]; the same seed gives the same picture.
      strength: above 0 and up to 1.

    Returns:
      float32 [size, size, 3] in 0..255.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    picture = tf.cast(image, tf.float32) / 255
    picture = _move_camera(picture, strength, seeds[0])
    picture = _relight(picture, strength, seeds[1])
    picture = _spoil(picture, strength, seeds[2])
    picture = _occlude(picture, strength, seeds[3])
    return tf.clip_by_value(picture, 0, 1) * 255


def _either_way(draws: tf.Tensor, most: float) -> tf.Tensor:
    return (draws * 2 - 1) * most


def _move_camera(picture: tf.Tensor, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Flips, turns, zooms, stretches and shifts, in one resampling."""
    size = picture.shape[0]
    flip, turn, zoom, stretch, right, down = tf.unstack(tf.random.stateless_uniform([6], seed))
    angle = _either_way(turn, ROTATION * strength)
    side = 1 + strength * (ZOOM[0] - 1 + zoom * (ZOOM[1] - ZOOM[0]))
    ratio = tf.exp(_either_way(stretch, STRETCH * strength))
    width, height = side * ratio, side / ratio
    room = tf.maximum(SLACK * strength, 1 - tf.stack([width, height])) / 2
    centre = (0.5 + (tf.stack([right, down]) * 2 - 1) * room) * size
    mirror = tf.where(flip < 0.5, -1.0, 1.0)
    columns = tf.stack([mirror * width * tf.cos(angle), -height * tf.sin(angle)])
    rows = tf.stack([mirror * width * tf.sin(angle), height * tf.cos(angle)])
    # Maps coordinates of the result to coordinates of the picture, about their centres.
    middle = (size - 1) / 2
    transform = tf.concat(
        [
            columns,
            [centre[0] - 0.5 - tf.reduce_sum(columns) * middle],
            rows,
            [centre[1] - 0.5 - tf.reduce_sum(rows) * middle],
            [0.0, 0.0],
        ],
        axis=0,
    )
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=picture[tf.newaxis],
        transforms=transform[tf.newaxis],
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",  # so that a shift does not bring in black
    )
    return tf.ensure_shape(moved[0], [size, size, 3])


def _relight(picture: tf.Tensor, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Changes colours by one matrix, then tones by one curve."""
    draws = tf.random.stateless_uniform([6], seed)
    light, contrast, saturation, hue, curve = tf.unstack(_either_way(draws[:5], strength))
    saturation = 1 + saturation * SATURATION
    saturation = tf.where(draws[5] < GRAYSCALE_SHARE * strength, 0.0, saturation)
    angle = 2 * math.pi * HUE * hue
    turn = saturation * tf.stack([[tf.cos(angle), -tf.sin(angle)], [tf.sin(angle), tf.cos(angle)]])
    # Each row makes one output channel, from luma and rotated chroma.
    colours = _GRAY + tf.constant(_FROM_CHROMA) @ turn @ tf.constant(_TO_CHROMA)
    contrast = 1 + contrast * CONTRAST
    mean = tf.reduce_mean(picture, axis=(0, 1))
    offset = light * BRIGHTNESS + (1 - contrast) * tf.linalg.matvec(colours, mean)
    picture = tf.matmul(picture, contrast * colours, transpose_b=True) + offset
    picture = tf.clip_by_value(picture, 0, 1)
    return picture + curve * CURVE * picture * (1 - picture)


def _spoil(picture: tf.Tensor, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Blurs, and adds noise."""
    blur, noise = tf.unstack(tf.random.stateless_uniform([2], seed))
    picture = tf.cond(blur < BLUR_SHARE * strength, lambda: _blurred(picture), lambda: picture)

    def noisy() -> tf.Tensor:
        drawn = tf.random.stateless_normal(picture.shape, seed + 1)
        return picture + NOISE * strength * drawn

    return tf.cond(noise < NOISE_SHARE * strength, noisy, lambda: picture)


def _blurred(picture: tf.Tensor) -> tf.Tensor:
    line = tf.constant([0.25, 0.5, 0.25])
    kernel = tf.tile((line[:, tf.newaxis] * line)[:, :, tf.newaxis, tf.newaxis], [1, 1, 3, 1])
    blurred = picture[tf.newaxis]
    for _ in range(_BLURS):
        edged = tf.pad(blurred, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
        blurred = tf.nn.depthwise_conv2d(edged, kernel, [1, 1, 1, 1], "VALID")
    return tf.ensure_shape(blurred[0], picture.shape)


def _occlude(picture: tf.Tensor, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Fills a box with one colour (random erasing, Zhong et al. 2020)."""
    size = picture.shape[0]
    draws = tf.random.stateless_uniform([8], seed)
    sides = (BOX[0] + (BOX[1] - BOX[0]) * draws[:2]) * size
    corner = draws[2:4] * size - sides / 2
    places = tf.range(size, dtype=tf.float32)
    across = (places >= corner[0]) & (places < corner[0] + sides[0])
    down = (places >= corner[1]) & (places < corner[1] + sides[1])
    hidden = down[:, tf.newaxis] & across & (draws[7] < BOX_SHARE * strength)
    return tf.where(hidden[:, :, tf.newaxis], draws[4:7], picture)
