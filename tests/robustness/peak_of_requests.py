"""Prints the peak memory of a process, in MiB, after requests of 64 and of 4,096 pictures.

python -m tests.robustness.peak_of_requests TRANSFORM_GRAPH FOLDER
"""

import sys
from pathlib import Path

import keras
import tensorflow as tf

from tests.robustness.pictures import encode, picture
from tests.support import exported
from tests.support.memory import peak_memory


def network() -> keras.Model:
    """Its first layer's output alone takes 6.5 MB for each picture."""
    inputs = keras.Input((160, 160, 3))
    wide = keras.layers.Conv2D(64, 1, activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(wide)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))


def main() -> None:
    """Exports the network and asks it."""
    graph, folder = map(Path, sys.argv[1:])
    loaded = tf.saved_model.load(str(exported.save(folder, network(), graph)))
    good = encode(picture(200, 150), "JPEG")
    for count in (64, 4096):
        answer = loaded.signatures["serving_default"](image_bytes=tf.constant([good] * count))
        assert answer["probabilities"].shape == (count, 3)
        print(peak_memory() // 2**20)


if __name__ == "__main__":
    main()
