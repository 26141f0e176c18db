"""Where the model looked: Grad-CAM maps, and pictures with a map laid over them.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, section 3.
"""

from typing import Final

import keras
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from components.examples import preprocessing

POOL: Final = "pool"
# Perceptually uniform, and safe for colour-blind readers.
COLOURS: Final = "viridis"
STRENGTH: Final = 0.5

Map = npt.NDArray[np.float32]


class GradCam:
    """Computes which regions of a picture raise the score of the posture that the model names.

    Args:
      model: from `components.training.network.build_model`, trained.
    """

    def __init__(self, model: keras.Model) -> None:
        pool = model.get_layer(POOL)
        self._size = int(model.input_shape[1])
        self._convolutions = keras.Model(model.inputs, pool.input)
        head = model.layers[model.layers.index(pool) :]
        dense = [layer for layer in head if isinstance(layer, keras.layers.Dense)]
        self._last = dense[-1]
        self._head = head[: head.index(self._last)]
        self._explain = tf.function(self._explained)

    def __call__(self, jpeg: bytes, fit: str) -> Map:
        """Explains one picture.

        Args:
          jpeg: as in the TFRecords.
          fit: how it becomes the model's square; see `preprocessing.fit_image`.

        Returns:
          [rows, columns] of the last convolution, float32, over the model's square: 0 to 1;
          all 0 if no region raises the score.
        """
        image = preprocessing.decode_image(tf.constant(jpeg))
        square = preprocessing.fit_image(image, self._size, fit)
        heat: Map = self._explain(tf.cast(square, tf.float32)[tf.newaxis]).numpy()
        highest = heat.max()
        return heat / highest if highest > 0 else heat

    def _explained(self, pictures: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            maps = self._convolutions(pictures, training=False)
            tape.watch(maps)
            x = maps
            for layer in self._head:
                x = layer(x)
            # Before the softmax, as in the paper: after it, the gradient vanishes where the model
            # is confident.
            scores = tf.matmul(x, self._last.kernel) + self._last.bias
            highest = tf.reduce_max(scores)
        weights = tf.reduce_mean(tape.gradient(highest, maps), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1))[0]


def overlay(picture: Image.Image, heat: Map, fit: str) -> Image.Image:
    """Lays a map over its picture in grey, so that all colour comes from the map.

    Args:
      picture: RGB, of any size.
      heat: of the same picture, over the model's square.
      fit: how the picture became the square.

    Returns:
      RGB of the picture's size: bright yellow where the map is 1, dark violet where it is 0.
    """
    width, height = picture.size
    spread = Image.fromarray(heat)
    if fit == "stretch":
        spread = spread.resize((width, height), Image.Resampling.BILINEAR)
    else:
        side = max(width, height)
        spread = spread.resize((side, side), Image.Resampling.BILINEAR)
        left, top = (side - width) // 2, (side - height) // 2
        spread = spread.crop((left, top, left + width, top + height))
    colours = mpl.colormaps[COLOURS](np.asarray(spread), bytes=True)[..., :3]
    gray = picture.convert("L").convert("RGB")
    return Image.blend(gray, Image.fromarray(np.ascontiguousarray(colours)), STRENGTH)
