"""The posture model: MobileNetV2 with a dense head, and what of it is trained when."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from schema import features

BASE: Final = "mobilenet_v2"
POOL: Final = "pool"  # the layer between base and head
LOGITS: Final = "logits"
TEMPERATURE: Final = "temperature"
PROBABILITIES: Final = "probabilities"
# Keras gives MobileNetV2's batch norm a momentum of 0.999: made for a million
# ImageNet steps. From scratch on a few hundred steps the moving averages would
# still be their initial values when the model is first evaluated.
SCRATCH_MOMENTUM: Final = 0.9
# Before each dense layer, where base weights are given: the head has more weights than the
# open layers, and learns a few hundred pictures by heart.
DROPOUT: Final = 0.3


@keras.saving.register_keras_serializable(package="lookdeep")
class Temperature(keras.layers.Layer):
    """Divides by one number, which no training changes; 1 until it is set.

    Temperature scaling after Guo et al. 2017. It is a part of the model, so that its
    probabilities are calibrated wherever it goes; which class is on top does not change.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the number."""
        self.temperature = self.add_weight(
            shape=(), initializer="ones", trainable=False, name=TEMPERATURE
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Divides; any shape."""
        return inputs / self.temperature


def build_model(image_size: int, alpha: float, base_weights: str) -> keras.Model:
    """Builds the model of the original project.

    Args:
      image_size: side of the input, pixels.
      alpha: MobileNetV2's width multiplier (Sandler et al. 2018, section 5).
      base_weights: `imagenet`, `none`, or the path of an .h5 file without top.

    Returns:
      A model from float32 [batch, image_size, image_size, 3] in 0..255 to
      probabilities float32 [batch, 3] in the order of `features.POSTURES`.
      With given weights the base's batch norm always runs in inference mode.
    """
    weights = None if base_weights == "none" else base_weights
    shape = (image_size, image_size, 3)
    base = keras.applications.MobileNetV2(
        input_shape=shape, alpha=alpha, include_top=False, weights=weights, name=BASE
    )
    if weights is None:
        for layer in base.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = SCRATCH_MOMENTUM
    pictures = keras.Input(shape, name="pictures")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pictures)
    x = base(x) if weights is None else base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D(name=POOL)(x)
    for index, units in enumerate((1024, 1024, 512)):
        if weights is not None:
            x = keras.layers.Dropout(DROPOUT, name=f"dropout_{index}")(x)
        x = keras.layers.Dense(units, activation="relu", name=f"dense_{index}")(x)
    x = keras.layers.Dense(len(features.POSTURES), dtype="float32", name=LOGITS)(x)
    x = Temperature(dtype="float32", name=TEMPERATURE)(x)
    probabilities = keras.layers.Activation("softmax", dtype="float32", name=PROBABILITIES)(x)
    return keras.Model(pictures, probabilities, name="posture")


def freeze_base(model: keras.Model) -> None:
    """Leaves only the head to training."""
    model.get_layer(BASE).trainable = False


def open_layers(model: keras.Model, frozen_layers: int) -> None:
    """Opens the base from layer `frozen_layers` on, batch norm excepted.

    Batch norm stays frozen: its statistics come from ImageNet (or are folded into
    the convolutions), and a few small batches would only spoil them.

    Args:
      model: from `build_model`.
      frozen_layers: number of layers at the base's input that stay as they are.
    """
    base = model.get_layer(BASE)
    base.trainable = True
    for index, layer in enumerate(base.layers):
        frozen = index < frozen_layers or isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not frozen


def frozen_end(model: keras.Model) -> str | None:
    """Finds how far a model's frozen layers can be computed apart from the rest.

    Args:
      model: from `build_model`, its layers frozen or open.

    Returns:
      `POOL` if the whole base is frozen; else the name of the last layer of the base
      such that all up to it is frozen and nothing but its output goes on; None if
      there is none.
    """
    layers = model.get_layer(BASE).layers
    if not any(layer.trainable_variables for layer in layers):
        return POOL
    made_by = {id(layer.output): index for index, layer in enumerate(layers)}
    first_open = next(i for i, layer in enumerate(layers) if layer.trainable_variables)
    # Where the layers from `index` on take nothing from before `end`.
    end, found = len(layers) - 1, None
    for index in range(len(layers) - 1, 0, -1):
        end = min(end, *(made_by[id(tensor)] for tensor in _inputs(layers[index])))
        if end == index - 1 and 0 < end < first_open:
            found = layers[end].name
            break
    return found


def _inputs(layer: keras.Layer) -> list[keras.KerasTensor]:
    return layer.input if isinstance(layer.input, list) else [layer.input]


def up_to(model: keras.Model, ends: list[str]) -> keras.Model:
    """The part of a model that ends in some of its layers, in inference mode.

    Args:
      model: from `build_model`.
      ends: what `frozen_end` returned, once or more.

    Returns:
      A model from float32 [batch, size, size, 3] in 0..255 to these layers' outputs
      by name. It shares the layers.
    """
    base = model.get_layer(BASE)
    inner = [name for name in ends if name != POOL]
    cut = keras.Model(base.input, [*(base.get_layer(name).output for name in inner), base.output])
    *outputs, last = cut(model.get_layer("scale").output, training=False)
    by_name = dict(zip(inner, outputs, strict=True)) | {POOL: model.get_layer(POOL)(last)}
    return keras.Model(model.input, {name: by_name[name] for name in ends})


def after(model: keras.Model, end: str | None, last: str = PROBABILITIES) -> keras.Model:
    """The part of a model that comes after one of its layers.

    Args:
      model: from `build_model`.
      end: what `frozen_end` returned; None for all of it, from pictures on.
      last: the layer that it ends in: `PROBABILITIES` or `LOGITS`.

    Returns:
      A model from that layer's output to float32 [batch, 3]. It shares the layers: what
      it learns, the whole model knows.
    """
    if end is None:
        return keras.Model(model.input, model.get_layer(last).output)
    base = model.get_layer(BASE)
    start = model.get_layer(POOL).output if end == POOL else base.get_layer(end).output
    inputs = keras.Input(start.shape[1:])
    x = inputs
    if end != POOL:
        x = model.get_layer(POOL)(keras.Model(start, base.output)(x, training=False))
    names = [layer.name for layer in model.layers]
    for name in names[names.index(POOL) + 1 : names.index(last) + 1]:
        x = model.get_layer(name)(x)
    return keras.Model(inputs, x)


def for_answers(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """A model in inference mode as one graph, in which its weights are constants.

    Batch norm is folded into the convolutions, which takes a third of the time away. What the
    model learns afterwards, the graph does not know.

    Args:
      model: whole, or from `up_to`.

    Returns:
      A function of what the model takes, to what it gives.
    """
    folded = _folded(model)
    trainable, others = (
        [folded.get(id(variable), variable.numpy()) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    (given,) = model.inputs

    # One graph for all callers: a second one would hold the weights again.
    @tf.function(input_signature=[tf.TensorSpec(given.shape, given.dtype)], autograph=False)
    def answer(inputs: tf.Tensor) -> Any:
        weights = ([tf.constant(each) for each in part] for part in (trainable, others))
        outputs, _ = model.stateless_call(*weights, inputs, training=False)
        return outputs

    return answer


def _folded(model: keras.Model) -> dict[int, np.ndarray]:
    """Variables' values where a convolution does the scaling of the batch norm after it.

    After Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 3.2. The norm is left with adding, which
    TensorFlow makes a part of the convolution; it folds scales itself, but not into depthwise
    convolutions.

    Returns:
      New values by the variable's id, of kernels and of batch norms.
    """
    values: dict[int, np.ndarray] = {}
    for before, norm in pairwise(model.layers):
        if isinstance(norm, keras.Model):
            values |= _folded(norm)
        if not _only_convolves(before) or not isinstance(norm, keras.layers.BatchNormalization):
            continue
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        # A depthwise kernel is [height, width, channels, 1].
        depthwise = isinstance(before, keras.layers.DepthwiseConv2D)
        values[id(before.kernel)] = before.kernel.numpy() * (scale[:, None] if depthwise else scale)
        values[id(norm.gamma)] = np.ones_like(gamma)
        values[id(norm.beta)] = beta - mean * scale
        values[id(norm.moving_mean)] = np.zeros_like(mean)
        values[id(norm.moving_variance)] = np.full_like(variance, 1 - norm.epsilon)
    return values


def _only_convolves(layer: keras.Layer) -> bool:
    convolution = isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    return convolution and not layer.use_bias and layer.activation is keras.activations.linear


def set_temperature(model: keras.Model, temperature: float) -> None:
    """Calibrates the model's probabilities; above 1 they become less certain."""
    model.get_layer(TEMPERATURE).temperature.assign(temperature)


def load(path: Path) -> keras.Model:
    """Loads a saved model, for answers only. Keras knows `Temperature` by this module."""
    return keras.models.load_model(path, compile=False)
