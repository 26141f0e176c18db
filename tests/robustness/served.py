"""An exported model with the real ways in, and an answer that is plain to see."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.training.signatures import ServingModule, export
from schema import features

SIZE = 64


class Colour(keras.layers.Layer):
    """Says which of red, green and blue a picture has most of."""

    def call(self, pictures: Any) -> Any:
        return tf.nn.softmax(tf.reduce_mean(pictures, axis=[1, 2]))


class NoTransform:
    """As much of a Transform graph as the export asks for."""

    def raw_feature_spec(self) -> dict[str, Any]:
        names = (features.IMAGE, features.POSTURE, features.WIDTH, features.HEIGHT)
        kinds = dict.fromkeys((features.WIDTH, features.HEIGHT), tf.int64)
        kinds |= dict.fromkeys(features.MEASURES, tf.float32)
        return {
            name: tf.io.FixedLenFeature([1], kinds.get(name, tf.string))
            for name in (*names, *features.MEASURES)
        }

    def transform_features_layer(self) -> Any:
        names = (features.LABEL, *features.QUALITIES)
        return lambda raw: dict.fromkeys(names, raw[features.POSTURE][:, 0])


def save(folder: Path, size: int = SIZE, network: Any = None) -> Path:
    """Writes it: red sits, green stands, blue lies; or with another network."""
    if network is None:
        inputs = keras.Input((size, size, 3))
        network = keras.Model(inputs, Colour()(inputs))
    module = ServingModule(network, NoTransform(), 512, size, "letterbox", 0.5)  # type: ignore[arg-type]
    export(module, str(folder))
    return folder
