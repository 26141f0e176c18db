"""An exported model with the real signatures, and an answer that is easy to predict."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.training.signatures import ServingModule, export

INGEST_SIZE = 512
THRESHOLD = 0.5


class Corner(keras.layers.Layer):
    """Takes the red, green and blue of the upper left corner for logits."""

    def call(self, pictures: Any) -> Any:
        return tf.nn.softmax(pictures[:, 0, 0])


def corner_model(size: int = 64) -> keras.Model:
    """Answers by the upper left corner: red sits, green stands, blue lies, grey is unsure."""
    inputs = keras.Input((size, size, 3))
    return keras.Model(inputs, Corner()(inputs))


def save(
    folder: Path,
    network: keras.Model,
    graph: Path,
    fit: str = "stretch",
    threshold: float = THRESHOLD,
) -> Path:
    """Writes the SavedModel.

    Args:
      folder: gets the SavedModel.
      network: float32 [batch, size, size, 3] in 0..255 to float32 [batch, 3].
      graph: folder of a Transform graph, for example the fixture `transform_graph`.
      fit: how pictures are brought to the network's size.
      threshold: least confidence of a sure answer.
    """
    size = network.input_shape[1]
    transform = tft.TFTransformOutput(str(graph))
    module = ServingModule(network, transform, INGEST_SIZE, size, fit, threshold)
    export(module, str(folder))
    return folder
