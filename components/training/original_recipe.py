"""The students' recipe, as a baseline for cross-validation and benchmarks.

As their script is described: MobileNetV2 with inputs in [0, 1], a head of
three dense layers, everything from layer 100 on trained at once with Adam at 1e-3,
batch norm in training mode, batches of 18, ten epochs, all pictures in memory.
"""

from typing import Final

import keras
import numpy as np
import numpy.typing as npt

from components.training.training_data import Examples, evaluation_data
from schema import features

BATCH_SIZE: Final = 18
EPOCHS: Final = 10
FROZEN_LAYERS: Final = 100
LEARNING_RATE: Final = 1e-3


def build(image_size: int, alpha: float, base_weights: str) -> keras.Model:
    """Builds and compiles the model, float32 [batch, size, size, 3] in 0..1 to [batch, classes]."""
    base = keras.applications.MobileNetV2(
        (image_size, image_size, 3),
        alpha,
        include_top=False,
        weights=None if base_weights == "none" else base_weights,
    )
    for layer in base.layers[:FROZEN_LAYERS]:
        layer.trainable = False
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    for units in (1024, 1024, 512):
        x = keras.layers.Dense(units, activation="relu")(x)
    x = keras.layers.Dense(len(features.POSTURES), activation="softmax")(x)
    built = keras.Model(base.input, x)
    built.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        "categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return built


def train_and_predict(
    train: Examples,
    held_out: Examples,
    image_size: int,
    alpha: float,
    base_weights: str,
    seed: int,
) -> npt.NDArray[np.float32]:
    """Trains the recipe on some pictures and predicts others.

    Args:
      train: pictures to train on, in 0..255.
      held_out: pictures to predict, the same.
      image_size: side of the pictures, pixels.
      alpha: MobileNetV2's width multiplier.
      base_weights: as in `components.training.network.build_model`.
      seed: of the shuffling.

    Returns:
      Probabilities, float32 [images, classes].
    """
    built = build(image_size, alpha, base_weights)

    def scaled(examples: Examples, batch_size: int) -> "keras.utils.PyDataset":
        return evaluation_data(examples, batch_size).map(lambda x, y: (x / 255, y))

    data = scaled(train, BATCH_SIZE)
    whole = data.unbatch().shuffle(len(train.labels), seed=seed).batch(BATCH_SIZE)
    built.fit(whole, epochs=EPOCHS, verbose=0)
    return built.predict(scaled(held_out, BATCH_SIZE), verbose=0)
