"""The TFLite models say what the Keras model says, and take the picture as it is."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import model as posture_model
from components.tflite import convert
from components.tflite.check import Device

SIZE = 32


class Temperature(keras.layers.Layer):
    """Divides logits by a number that was fitted."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.value = self.add_weight(shape=(), initializer=keras.initializers.Constant(1.7))

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        return logits / self.value


def pictures(count: int) -> Iterator[np.ndarray]:
    """Soft noise that is neither black nor white anywhere."""
    for seed in range(count):
        coarse = np.random.default_rng(seed).uniform(40, 200, (4, 4, 3))
        yield np.kron(coarse, np.ones((SIZE // 4, SIZE // 4, 1))).astype(np.uint8)


@pytest.fixture(scope="module", params=["posture", "with a temperature"])
def model(request: pytest.FixtureRequest) -> keras.Model:
    """Of random weights, batch norm excepted: it has seen the pictures."""
    keras.utils.set_random_seed(1)
    built = posture_model.build_model(SIZE, 0.35, "none")
    batch = np.stack(list(pictures(64))).astype(np.float32)
    for _ in range(40):
        built(batch, training=True)
    if request.param == "posture":
        return built
    last = built.layers[-1]
    logits = keras.layers.Dense(3)
    x = keras.layers.Softmax()(Temperature()(logits(last.input)))
    logits.set_weights(last.get_weights())
    return keras.Model(built.input, x)


@pytest.fixture(scope="module")
def contents(model: keras.Model) -> dict[str, bytes]:
    return {"float16": convert.float16(model), "int8": convert.int8(model, pictures(16))}


def interpreter(content: bytes) -> tf.lite.Interpreter:
    loaded = tf.lite.Interpreter(
        model_content=content,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    loaded.allocate_tensors()
    return loaded


@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 2e-3), ("int8", 0.06)])
def test_probabilities_are_the_keras_models(
    model: keras.Model, contents: dict[str, bytes], kind: str, tolerance: float
) -> None:
    device = Device(contents[kind], 1)
    expected = model.predict(np.stack(list(pictures(30))), verbose=0)
    answered = np.stack([device(picture) for picture in pictures(30)])
    np.testing.assert_allclose(answered, expected, atol=tolerance)
    assert np.ptp(expected, axis=0).max() > 3 * tolerance, "the pictures differ for the model"


def test_both_take_a_picture_and_give_probabilities(contents: dict[str, bytes]) -> None:
    for content in contents.values():
        loaded = interpreter(content)
        ((taken,), (given,)) = loaded.get_input_details(), loaded.get_output_details()
        assert (taken["dtype"], given["dtype"]) == (np.uint8, np.float32)
        assert taken["shape"].tolist() == [1, SIZE, SIZE, 3]
        assert given["shape"].tolist() == [1, 3]
        signature = loaded.get_signature_list()["serving_default"]
        assert signature == {"inputs": ["picture"], "outputs": ["probabilities"]}


def test_int8_calculates_in_integers(contents: dict[str, bytes]) -> None:
    loaded = interpreter(contents["int8"])
    (output,) = loaded.get_output_details()
    others = [each for each in loaded.get_tensor_details() if each["index"] != output["index"]]
    assert {each["dtype"] for each in others} <= {np.uint8, np.int8, np.int32}
    kernels = [each for each in others if each["dtype"] == np.int8 and len(each["shape"]) == 4]
    assert max(len(each["quantization_parameters"]["scales"]) for each in kernels) > 100


def test_a_grey_level_means_itself(contents: dict[str, bytes]) -> None:
    (taken,) = interpreter(contents["int8"]).get_input_details()
    assert taken["quantization"] == (1.0, 0)


def test_int8_is_half_of_float16(model: keras.Model, contents: dict[str, bytes]) -> None:
    weights = model.count_params()
    assert len(contents["float16"]) == pytest.approx(2 * weights, rel=0.1)
    assert len(contents["int8"]) == pytest.approx(weights, rel=0.15)
