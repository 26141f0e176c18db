"""Converts the Keras model to TFLite models that take fitted pictures, uint8, unscaled."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.serving.tflite import equalize
from components.training.network import for_answers

Picture = npt.NDArray[np.uint8]

# Quantization of the int8 model's input: none, so that devices need not scale pictures.
UNSCALED: Final = (1.0, 0)  # scale, zero point


def float16(model: keras.Model) -> bytes:
    """Converts with float16 weights and float32 arithmetic.

    Args:
      model: float32 [batch, size, size, 3] in 0..255 to float32 [batch, classes].

    Returns:
      A TFLite model from uint8 [1, size, size, 3] to float32 [1, classes].
    """
    converter = _converter(model, tf.uint8)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def int8(model: keras.Model, pictures: Callable[[], Iterable[Picture]]) -> bytes:
    """Converts to int8 throughout: weights (by channel) and activations.

    Only the last operation converts the probabilities to float32, so that both models have the
    same output.

    Args:
      model: float32 [batch, size, size, 3] in 0..255 to float32 [batch, classes].
      pictures: returns representative pictures, uint8 [size, size, 3], the same ones on each
        call; the ranges of the activations are measured on them.

    Returns:
      A TFLite model from uint8 [1, size, size, 3] to float32 [1, classes].
    """
    converter = _converter(equalize.equalized(model, pictures()), tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _calibration(pictures())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    content: bytes = converter.convert()
    (taken,) = tf.lite.Interpreter(model_content=content).get_input_details()
    assert taken["quantization"] == UNSCALED, taken["quantization"]  # noqa: S101 (would be a bug of the converter)
    return content


def _converter(model: keras.Model, dtype: tf.DType) -> Any:
    """A converter of the model for pictures of a dtype.

    The weights are constants of the function: with variables of Keras 3 the converter of
    TensorFlow 2.16 aborts the process (tensorflow/tensorflow issue 63987).
    """
    size = int(model.input_shape[1])
    answer = for_answers(model)

    @tf.function(input_signature=[tf.TensorSpec([1, size, size, 3], dtype, name="picture")])
    def network(picture: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": answer(tf.cast(picture, tf.float32))}

    holder = tf.Module()
    holder.network = network
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], holder
    )


def _calibration(pictures: Iterable[Picture]) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Batches of one picture; the first one gets a black and a white pixel in its corner.

    The converter scales the input by the range of these pictures. With the whole range of 0 to
    255 the scale is 1 (`UNSCALED`).
    """
    for index, picture in enumerate(pictures):
        batch = picture[np.newaxis].astype(np.float32)
        if index == 0:
            batch[0, 0, 0], batch[0, 0, 1] = 0, 255
        yield [batch]
