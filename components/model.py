"""The posture model: MobileNetV2 with a dense head, and what of it is trained when."""

from typing import Final

import keras

from schema import features

BASE: Final = "mobilenet_v2"
POOL: Final = "pool"  # the layer between base and head
# Keras gives MobileNetV2's batch norm a momentum of 0.999: made for a million
# ImageNet steps. From scratch on a few hundred steps the moving averages would
# still be their initial values when the model is first evaluated.
SCRATCH_MOMENTUM: Final = 0.9
# Before each dense layer, where base weights are given: the head has more weights than the
# open layers, and learns a few hundred pictures by heart.
DROPOUT: Final = 0.3


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
    probabilities = keras.layers.Dense(
        len(features.POSTURES), activation="softmax", dtype="float32", name="probabilities"
    )(x)
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


def after(model: keras.Model, end: str) -> keras.Model:
    """The part of a model that comes after one of its layers.

    Args:
      model: from `build_model`.
      end: what `frozen_end` returned.

    Returns:
      A model from that layer's output to probabilities, float32 [batch, 3]. It shares
      the layers: what it learns, the whole model knows.
    """
    head = keras.Model(model.get_layer(POOL).output, model.output)
    if end == POOL:
        return head
    base = model.get_layer(BASE)
    start = base.get_layer(end).output
    features_of_picture = keras.Input(start.shape[1:])
    rest = keras.Model(start, base.output)(features_of_picture, training=False)
    return keras.Model(features_of_picture, head(model.get_layer(POOL)(rest)))
