"""What of the model is trained when, and what stays as ImageNet left it."""

from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.special

from components.training import network
from schema import features

SIZE, ALPHA = 32, 0.35


@pytest.fixture(scope="module")
def given_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of base weights, as `--base-weights FILE.h5` takes it."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("weights") / "base.weights.h5"
    base = keras.applications.MobileNetV2(
        input_shape=(SIZE, SIZE, 3), alpha=ALPHA, include_top=False, weights=None
    )
    base.save_weights(path)
    return str(path)


def test_head_is_the_original_projects(given_weights: str) -> None:
    posture = network.build_model(SIZE, ALPHA, given_weights)
    dense = [layer.units for layer in posture.layers if isinstance(layer, keras.layers.Dense)]
    assert dense == [1024, 1024, 512, len(features.POSTURES)]
    names = [layer.name for layer in posture.layers[-3:]]
    assert names == [network.LOGITS, network.TEMPERATURE, "probabilities"]
    probabilities = posture.predict(np.full((2, SIZE, SIZE, 3), 128.0, np.float32), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_head_phase_trains_the_head_alone(given_weights: str) -> None:
    posture = network.build_model(SIZE, ALPHA, given_weights)
    network.freeze_base(posture)
    base = {id(variable) for variable in posture.get_layer(network.BASE).variables}
    assert not any(id(variable) in base for variable in posture.trainable_variables)
    assert len(posture.trainable_variables) == 8


def test_temperature_scales_and_survives_being_saved(given_weights: str, tmp_path: Path) -> None:
    posture = network.build_model(SIZE, ALPHA, given_weights)
    posture.get_layer(network.LOGITS).bias.assign([0.3, 1.0, -0.5])
    pictures = np.random.default_rng(3).uniform(0, 255, (8, SIZE, SIZE, 3)).astype(np.float32)
    logits = network.after(posture, None, network.LOGITS).predict(pictures, verbose=0)
    before = posture.predict(pictures, verbose=0)
    np.testing.assert_allclose(before, scipy.special.softmax(logits, axis=1), atol=1e-6)
    network.set_temperature(posture, 0.25)
    posture.save(tmp_path / "model.keras")
    after = keras.models.load_model(tmp_path / "model.keras").predict(pictures, verbose=0)
    np.testing.assert_allclose(after, scipy.special.softmax(logits / 0.25, axis=1), atol=1e-5)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    assert np.abs(after - before).max() > 0.01


def test_training_sees_the_logits_not_rounded_probabilities(given_weights: str) -> None:
    """Keras finds the logits behind a softmax; else the loss of a sure error ends at 16."""
    posture = network.build_model(SIZE, ALPHA, given_weights)
    posture.get_layer(network.LOGITS).bias.assign([0.0, 60.0, 0.0])
    posture.compile("sgd", "sparse_categorical_crossentropy")
    pictures = np.zeros((2, SIZE, SIZE, 3), np.float32)
    assert posture.evaluate(pictures, np.array([0, 0]), verbose=0) > 40


def test_open_layers_leaves_frozen_ones_and_batch_norm(given_weights: str) -> None:
    posture = network.build_model(SIZE, ALPHA, given_weights)
    network.freeze_base(posture)
    network.open_layers(posture, 100)
    layers = posture.get_layer(network.BASE).layers
    assert not any(layer.trainable for layer in layers[:100])
    for layer in layers[100:]:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        assert layer.trainable is not is_norm


def test_training_leaves_batch_norm_statistics_alone(given_weights: str) -> None:
    posture = network.build_model(SIZE, ALPHA, given_weights)
    network.open_layers(posture, 100)
    norms = [
        layer
        for layer in posture.get_layer(network.BASE).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = [layer.moving_mean.numpy().copy() for layer in norms]
    posture.compile("adam", "sparse_categorical_crossentropy")
    pictures = np.random.default_rng(2).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)
    posture.fit(pictures, np.array([0, 1, 2, 0]), epochs=1, verbose=0)
    for layer, mean in zip(norms, before, strict=True):
        np.testing.assert_array_equal(layer.moving_mean.numpy(), mean)


def test_from_scratch_batch_norm_adapts_within_few_steps() -> None:
    posture = network.build_model(SIZE, ALPHA, "none")
    norms = [
        layer
        for layer in posture.get_layer(network.BASE).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms and all(layer.momentum == network.SCRATCH_MOMENTUM for layer in norms)
    posture.compile("adam", "sparse_categorical_crossentropy")
    pictures = np.random.default_rng(2).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)
    before = norms[0].moving_mean.numpy().copy()
    posture.fit(pictures, np.array([0, 1, 2, 0]), epochs=1, verbose=0)
    assert np.abs(norms[0].moving_mean.numpy() - before).max() > 0


def test_answers_are_the_same_with_batch_norm_folded_in() -> None:
    posture = network.build_model(32, 0.35, "none")
    random = np.random.default_rng(4)
    for layer in posture.get_layer(network.BASE).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            gamma, variance = random.uniform(0.5, 2, shape), random.uniform(0.02, 0.3, shape)
            beta, mean = random.normal(0, 0.3, (2, *shape))
            layer.set_weights([gamma, beta, mean, variance])
    weights = [each.copy() for each in posture.get_weights()]
    pictures = random.uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    expected = posture(pictures, training=False)
    assert np.ptp(expected, axis=0).max() > 0.01, "all pictures look the same to the model"
    np.testing.assert_allclose(network.for_answers(posture)(pictures), expected, atol=1e-4)
    for own, before in zip(posture.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(own, before)


def test_what_cannot_be_folded_in_stays_as_it_is() -> None:
    random = np.random.default_rng(5)
    for options in ({"activation": "relu"}, {"bias_initializer": "ones"}):
        layers = [keras.layers.Conv2D(4, 3, **options), keras.layers.BatchNormalization()]
        convolving = keras.Sequential([keras.Input((8, 8, 3)), *layers])
        gamma, beta, mean, variance = random.uniform(0.5, 2, (4, 4))
        layers[1].set_weights([gamma, beta, mean, variance])
        pictures = random.normal(0, 1, (2, 8, 8, 3)).astype(np.float32)
        expected = convolving(pictures, training=False)
        np.testing.assert_allclose(network.for_answers(convolving)(pictures), expected, atol=1e-5)


@pytest.mark.parametrize("frozen_layers", [0, 50, 98, 100, 110, 154])
def test_up_to_and_after_make_the_whole_again(frozen_layers: int) -> None:
    posture = network.build_model(32, 0.35, "none")
    network.open_layers(posture, frozen_layers)
    end = network.frozen_end(posture)
    assert (end is None) == (frozen_layers == 0) and (end == network.POOL) == (frozen_layers == 154)
    if end is None:
        return
    base = posture.get_layer(network.BASE)
    if end != network.POOL:
        position = [layer.name for layer in base.layers].index(end)
        assert not any(layer.trainable_variables for layer in base.layers[: position + 1])
    pictures = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    halves = network.up_to(posture, [end, network.POOL])(pictures)
    whole = posture(pictures, training=False)
    rest = network.after(posture, end)
    np.testing.assert_allclose(rest(halves[end], training=False), whole, atol=1e-6)
    pooled = network.after(posture, network.POOL)(halves[network.POOL], training=False)
    np.testing.assert_allclose(pooled, whole, atol=1e-6)
    answered = network.for_answers(network.up_to(posture, [end, network.POOL]))(pictures)
    for name, half in halves.items():
        np.testing.assert_allclose(answered[name], half, rtol=1e-4, atol=1e-4)
    # All that is trained is in the second half.
    trained = {id(variable) for variable in rest.trainable_variables}
    assert trained == {id(variable) for variable in posture.trainable_variables}
