"""The equalized network calculates the same, with channels that are alike."""

import keras
import numpy as np
import pytest

from components.serving.tflite import equalize
from components.training import network
from tests.support import small_output

TOLERANCE = 1e-4
RNG = np.random.default_rng(2)
PICTURES = (RNG.uniform(0, 256, (20, 32, 32, 3)) * RNG.uniform(0, 1, (20, 1, 1, 3))).astype(
    np.uint8
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """The posture model, its channels made unlike by random batch norms."""
    keras.utils.set_random_seed(1)
    built = network.build_model(32, 0.35, "none")
    rng = np.random.default_rng(1)
    for layer in built.get_layer(network.BASE).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            gamma = rng.lognormal(0, 1, gamma.shape)
            beta = rng.normal(0, 0.3, beta.shape)
            layer.set_weights([gamma, beta, mean, variance])
    return built


@pytest.fixture(scope="module")
def copy(model: keras.Model) -> keras.Model:
    return equalize.equalized(model, PICTURES)


def channel_ranges(model: keras.Model, kind: type) -> list[np.ndarray]:
    base = model.get_layer(network.BASE)
    outputs = [layer.output for layer in base.layers if isinstance(layer, kind)]
    scaled = PICTURES.astype(np.float32) / 127.5 - 1
    return [
        np.abs(output).max(axis=(0, 1, 2))
        for output in keras.Model(base.input, outputs).predict(scaled, verbose=0)
    ]


def test_it_says_the_same_and_leaves_the_model_alone(model: keras.Model) -> None:
    before = [weight.copy() for weight in model.get_weights()]
    copy = equalize.equalized(model, PICTURES)
    shown = PICTURES.astype(np.float32)
    pool = model.get_layer("pool").output
    expected = keras.Model(model.input, pool).predict(shown, verbose=0)
    found = keras.Model(copy.input, copy.get_layer("pool").output).predict(shown, verbose=0)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    # Pictures differ by much more, so that another picture's answer would not pass.
    assert np.ptp(expected, axis=0).max() > 50 * TOLERANCE
    for weight, former in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, former)


@pytest.mark.parametrize("kind", [keras.layers.ReLU, keras.layers.Add])
def test_channels_are_more_alike(model: keras.Model, copy: keras.Model, kind: type) -> None:
    def spread(ranges: list[np.ndarray]) -> float:
        """Of the ranges of a tensor's channels, the mean in shares of the largest."""
        return float(np.mean([(channels / channels.max()).mean() for channels in ranges]))

    former = spread(channel_ranges(model, kind))
    assert spread(channel_ranges(copy, kind)) > 1.2 * former


def test_every_layer_but_the_last_takes_part(model: keras.Model) -> None:
    groups = equalize._groups(model.get_layer(network.BASE).layers)
    read = [layer.name for group in groups for layer in group.read]
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    layers = model.get_layer(network.BASE).layers
    convolutions = [layer.name for layer in layers if isinstance(layer, kinds)]
    assert sorted(read) == sorted(convolutions[1:])
    bottlenecks = [len(group.written) for group in groups if not group.cut]
    assert bottlenecks == [1, 2, 3, 4, 3, 3, 1], "as in table 2 of Sandler et al."


def test_another_network_stays_as_it_is() -> None:
    other = small_output.colour_model(outlier=1.0)
    assert equalize.equalized(other, PICTURES) is other
