import io

import keras
import numpy as np
import pytest
from PIL import Image

from components.training import network
from pipeline.review import grad_cam


def corner_model(size: int = 64) -> keras.Model:
    """Takes a picture for Standing by its bright places: one convolution that copies them."""
    pictures = keras.Input((size, size, 3))
    maps = keras.layers.Conv2D(2, 8, strides=8, activation="relu", name="maps")(pictures)
    pooled = keras.layers.GlobalAveragePooling2D(name=grad_cam.POOL)(maps)
    hidden = keras.layers.Dense(2, activation="relu", name="hidden")(pooled)
    outputs = keras.layers.Dense(3, activation="softmax", name="probabilities")(hidden)
    model = keras.Model(pictures, outputs)
    kernel = np.zeros((8, 8, 3, 2), np.float32)
    kernel[..., 0] = 1 / 192  # the mean brightness of a place
    model.get_layer("maps").set_weights([kernel, np.array([0, 1], np.float32)])
    model.get_layer("hidden").set_weights([np.eye(2, dtype=np.float32), np.zeros(2, np.float32)])
    model.get_layer("probabilities").set_weights(
        [np.array([[0, 50, 0], [0, 0, 0]], np.float32), np.zeros(3, np.float32)]
    )
    return model


def jpeg(array: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(array).save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


def with_square(width: int, height: int, left: int, top: int) -> np.ndarray:
    array = np.zeros((height, width, 3), np.uint8)
    array[top : top + 16, left : left + 16] = 255
    return array


@pytest.mark.parametrize(("left", "top"), [(0, 0), (48, 0), (0, 48), (48, 48)])
def test_the_map_lies_where_the_deciding_square_is_though_the_model_is_sure(left, top):
    model = corner_model()
    picture = with_square(64, 64, left, top)
    assert model.predict(picture[None].astype(np.float32), verbose=0)[0, 1] == 1
    heat = grad_cam.GradCam(model)(jpeg(picture), "stretch")
    assert heat.shape == (8, 8)
    assert heat.max() == 1
    inside = heat[top // 8 : top // 8 + 2, left // 8 : left // 8 + 2]
    assert inside.sum() > 0.95 * heat.sum()


@pytest.mark.parametrize("fit", ["stretch", "border", "letterbox"])
@pytest.mark.parametrize(("width", "height"), [(128, 64), (64, 128), (64, 64)])
def test_the_overlay_marks_the_place_in_the_picture_whatever_the_fit(fit, width, height):
    picture = with_square(width, height, width - 32, height - 32)
    heat = grad_cam.GradCam(corner_model())(jpeg(picture), fit)
    drawn = grad_cam.overlay(Image.fromarray(picture), heat, fit)
    assert drawn.size == (width, height)
    # Viridis turns from violet to yellow: the more green, the higher the map.
    green = np.asarray(drawn)[..., 1].astype(int)
    rows, columns = np.nonzero(green > 100)
    assert abs(rows.mean() - (height - 24.5)) < 8
    assert abs(columns.mean() - (width - 24.5)) < 8


def test_a_picture_that_shows_nothing_has_an_empty_map():
    heat = grad_cam.GradCam(corner_model())(jpeg(np.zeros((64, 64, 3), np.uint8)), "stretch")
    assert (heat == 0).all()


@pytest.mark.parametrize("head_only", [True, False])
def test_it_explains_the_pipelines_own_model_after_saving(tmp_path, head_only):
    keras.utils.set_random_seed(4)
    model = network.build_model(64, 0.35, "none")
    if head_only:
        weights = tmp_path / "base.weights.h5"
        base = model.get_layer(network.BASE)
        base.save_weights(weights)
        model = network.build_model(64, 0.35, str(weights))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    picture = np.random.default_rng(5).integers(0, 256, (90, 70, 3), np.uint8)
    heat = grad_cam.GradCam(loaded)(jpeg(picture), "letterbox")
    assert heat.shape == (2, 2)
    assert np.isfinite(heat).all()
    assert 0 <= heat.min() <= heat.max() <= 1
