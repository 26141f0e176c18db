"""The TFLite models say what the Keras model says, and take the picture as it is."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.serving.tflite import convert
from components.serving.tflite.check import Device
from components.training import network
from tests.support import small_output

SIZE = small_output.SIZE


class Temperature(keras.layers.Layer):
    """Divides logits by a number that was fitted."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.value = self.add_weight(shape=(), initializer=keras.initializers.Constant(1.7))

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        return logits / self.value


def pictures(count: int) -> Iterator[np.ndarray]:
    """Soft noise in all tints, neither black nor white anywhere."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coarse = rng.uniform(40, 100, (4, 4, 3)) + rng.uniform(0, 100, 3)
        yield np.kron(coarse, np.ones((SIZE // 4, SIZE // 4, 1))).astype(np.uint8)


@pytest.fixture(scope="module", params=["plain", "with a temperature"])
def colours(request: pytest.FixtureRequest) -> keras.Model:
    """Names the strongest colour; unlike a network that has hardly learnt, it is no chaos."""
    built = small_output.colour_model(outlier=0.0)
    if request.param == "plain":
        return built
    last = built.layers[-1]
    logits = keras.layers.Dense(3)
    probabilities = keras.layers.Softmax()(Temperature()(logits(last.input)))
    logits.set_weights(last.get_weights())
    return keras.Model(built.inputs, probabilities)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """The posture model, of random weights."""
    keras.utils.set_random_seed(1)
    return network.build_model(SIZE, 0.35, "none")


@pytest.fixture(scope="module")
def contents(model: keras.Model) -> dict[str, bytes]:
    return {"float16": convert.float16(model), "int8": convert.int8(model, lambda: pictures(16))}


@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 0.005), ("int8", 0.05)])
def test_probabilities_are_the_keras_models(
    colours: keras.Model, kind: str, tolerance: float
) -> None:
    converters = {
        "float16": convert.float16,
        "int8": lambda model: convert.int8(model, lambda: pictures(30)),
    }
    device = Device(converters[kind](colours), 1)
    shown = np.stack(list(pictures(30)))
    answered = np.stack([device(picture) for picture in shown])
    expected = colours.predict(shown.astype(np.float32), verbose=0)
    np.testing.assert_allclose(answered, expected, atol=tolerance)
    assert np.ptp(expected, axis=0).min() > 0.5, "the pictures are not all one to the model"


def test_both_take_a_picture_and_give_probabilities(contents: dict[str, bytes]) -> None:
    for content in contents.values():
        loaded = tf.lite.Interpreter(model_content=content)
        ((taken,), (given,)) = loaded.get_input_details(), loaded.get_output_details()
        assert (taken["dtype"], given["dtype"]) == (np.uint8, np.float32)
        assert taken["shape"].tolist() == [1, SIZE, SIZE, 3]
        assert given["shape"].tolist() == [1, 3]
        signature = loaded.get_signature_list()["serving_default"]
        assert signature == {"inputs": ["picture"], "outputs": ["probabilities"]}


def test_int8_calculates_in_integers(contents: dict[str, bytes]) -> None:
    loaded = tf.lite.Interpreter(model_content=contents["int8"])
    (output,) = loaded.get_output_details()
    others = [each for each in loaded.get_tensor_details() if each["index"] != output["index"]]
    assert {each["dtype"] for each in others} <= {np.uint8, np.int8, np.int32}
    kernels = [each for each in others if each["dtype"] == np.int8 and len(each["shape"]) == 4]
    assert max(len(each["quantization_parameters"]["scales"]) for each in kernels) > 100


def test_a_grey_level_means_itself(contents: dict[str, bytes]) -> None:
    (taken,) = tf.lite.Interpreter(model_content=contents["int8"]).get_input_details()
    assert taken["quantization"] == (1.0, 0)


def test_int8_is_half_of_float16(model: keras.Model, contents: dict[str, bytes]) -> None:
    weights = model.count_params()
    assert len(contents["float16"]) == pytest.approx(2 * weights, rel=0.1)
    assert len(contents["int8"]) == pytest.approx(weights, rel=0.15)
