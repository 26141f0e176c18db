"""The posture model: MobileNetV2 with a dense head, and which of its layers are trained."""

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
# MobileNetV2's batch norm has a momentum of 0.999 in Keras, for a million ImageNet steps.
# Trained from scratch for a few hundred steps, the moving averages would still be near their
# initial values.
SCRATCH_MOMENTUM: Final = 0.9
# Before each dense layer, if base weights are given: the head has more weights than the open
# layers, and overfits a few hundred pictures.
DROPOUT: Final = 0.3


@keras.saving.register_keras_serializable(package="lookdeep")
class Temperature(keras.layers.Layer):
    """Divides by one number, which training does not change; 1 until it is set.

    Temperature scaling after Guo et al. 2017. It is a part of the model, so that every
    export is calibrated; it never changes which class has the highest probability.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the temperature."""
        self.temperature = self.add_weight(
            shape=(), initializer="ones", trainable=False, name=TEMPERATURE
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Divides; any shape."""
        return inputs / self.temperature


def build_model(image_size: int, alpha: float, base_weights: str) -> keras.Model:
    """Builds the model; its architecture is the original project's.

    Args:
      image_size: side of the input, pixels.
      alpha: MobileNetV2's width multiplier (Sandler et al. 2018, section 5).
      base_weights: `imagenet`, `none`, or the path of an .h5 file without top.

    Returns:
      A model from float32 [batch, image_size, image_size, 3] in 0..255 to
      probabilities float32 [batch, classes] in the order of `features.POSTURES`.
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
    """Freezes all of the base, so that only the head is trained."""
    model.get_layer(BASE).trainable = False


def open_layers(model: keras.Model, frozen_layers: int) -> None:
    """Opens the base from layer `frozen_layers` on, except for batch norm.

    Batch norm stays frozen: its statistics come from ImageNet (or are folded into
    the convolutions), and are better than those of a few small batches.

    Args:
      model: from `build_model`.
      frozen_layers: number of layers at the base's input that stay frozen.
    """
    base = model.get_layer(BASE)
    base.trainable = True
    for index, layer in enumerate(base.layers):
        frozen = index < frozen_layers or isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not frozen


def frozen_end(model: keras.Model) -> str | None:
    """Finds up to where a model's frozen layers can be computed separately.

    Args:
      model: from `build_model`, its layers frozen or open.

    Returns:
      `POOL` if the whole base is frozen; else the last layer of the base such that all
      layers up to it are frozen, and later layers read only its output; None if there is
      none.
    """
    layers = model.get_layer(BASE).layers
    if not any(layer.trainable_variables for layer in layers):
        return POOL
    made_by = {id(layer.output): index for index, layer in enumerate(layers)}
    first_open = next(i for i, layer in enumerate(layers) if layer.trainable_variables)
    # `end`: the earliest layer that is still read from `index` on.
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
    """The part of a model up to some of its layers, in inference mode.

    Args:
      model: from `build_model`.
      ends: results of `frozen_end`.

    Returns:
      A model from float32 [batch, size, size, 3] in 0..255 to these layers' outputs
      by name. It shares the model's layers.
    """
    base = model.get_layer(BASE)
    inner = [name for name in ends if name != POOL]
    cut = keras.Model(base.input, [*(base.get_layer(name).output for name in inner), base.output])
    *outputs, last = cut(model.get_layer("scale").output, training=False)
    by_name = dict(zip(inner, outputs, strict=True)) | {POOL: model.get_layer(POOL)(last)}
    return keras.Model(model.input, {name: by_name[name] for name in ends})


def after(model: keras.Model, end: str | None, last: str = PROBABILITIES) -> keras.Model:
    """The part of a model after one of its layers.

    Args:
      model: from `build_model`.
      end: the result of `frozen_end`; None for the whole model.
      last: the layer to end at: `PROBABILITIES` or `LOGITS`.

    Returns:
      A model from that layer's output to float32 [batch, classes]. It shares the layers, so
      training it trains the whole model.
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
    """A model in inference mode as one graph, with its current weights as constants.

    Batch norm is folded into the convolutions, which saves a third of the time. Later training
    does not change the graph.

    Args:
      model: whole, or from `up_to`.

    Returns:
      A function from the model's inputs to its outputs.
    """
    folded = _folded(model)
    trainable, others = (
        [folded.get(id(variable), variable.numpy()) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    (given,) = model.inputs

    # With a signature there is one graph; a second one would hold the weights again.
    @tf.function(input_signature=[tf.TensorSpec(given.shape, given.dtype)], autograph=False)
    def answer(inputs: tf.Tensor) -> Any:
        weights = ([tf.constant(each) for each in part] for part in (trainable, others))
        outputs, _ = model.stateless_call(*weights, inputs, training=False)
        return outputs

    return answer


def _folded(model: keras.Model) -> dict[int, np.ndarray]:
    """Folds the scale of each batch norm into the convolution before it.

    After Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 3.2. The norm is left with an addition, which
    TensorFlow fuses with the convolution. It would fold scales itself, but not into depthwise
    convolutions.

    Returns:
      New values of kernels and batch norms, by the variable's id.
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
    """Sets the temperature; above 1 it lowers the confidence of all answers."""
    model.get_layer(TEMPERATURE).temperature.assign(temperature)


def load(path: Path) -> keras.Model:
    """Loads a saved model for inference. Importing this module registers `Temperature`."""
    return keras.models.load_model(path, compile=False)
