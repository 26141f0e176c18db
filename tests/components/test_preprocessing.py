"""The pictures that the model sees, on the training and on the serving side."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components import preprocessing
from schema import features


def _noise(height: int, width: int, seed: int = 1) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("fit", ["stretch", "border", "letterbox"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(height=st.integers(1, 90), width=st.integers(1, 90))
def test_every_shape_becomes_the_square(fit: str, height: int, width: int) -> None:
    fitted = preprocessing.fit_image(tf.constant(_noise(height, width)), 32, fit)
    assert fitted.shape == (32, 32, 3)
    assert fitted.dtype == tf.uint8


def test_letterbox_pads_black_and_keeps_the_aspect_ratio() -> None:
    white = tf.fill([20, 40, 3], tf.constant(255, tf.uint8))
    fitted = preprocessing.fit_image(white, 40, "letterbox").numpy()
    assert (fitted[:10] == 0).all() and (fitted[30:] == 0).all()
    assert (fitted[10:30] == 255).all()


def test_border_repeats_the_edge() -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[0], pixels[-1] = 50, 200
    fitted = preprocessing.fit_image(tf.constant(pixels), 40, "border").numpy()
    assert (fitted[:11] == 50).all() and (fitted[29:] == 200).all()


def test_stretch_is_what_pillow_does_to_within_a_grey_level() -> None:
    pixels = _noise(120, 200)
    ours = preprocessing.fit_image(tf.constant(pixels), 64, "stretch").numpy().astype(int)
    pillow = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(ours - np.asarray(pillow).astype(int)).max() <= 2


def test_unknown_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fit 'crop'"):
        preprocessing.fit_image(tf.zeros([4, 4, 3], tf.uint8), 4, "crop")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(height=st.integers(1, 300), width=st.integers(1, 300))
def test_scale_down_fits_and_never_enlarges(height: int, width: int) -> None:
    scaled = preprocessing.scale_down(tf.constant(_noise(height, width)), 100).numpy()
    if max(height, width) <= 100:
        assert scaled.shape == (height, width, 3)
    else:
        assert max(scaled.shape[:2]) == 100
        assert abs(scaled.shape[0] - max(1, 100 * height / max(height, width))) <= 1


def test_scale_down_gives_pillows_pixels_to_within_a_few_grey_levels() -> None:
    pixels = _noise(300, 400)
    ours = preprocessing.scale_down(tf.constant(pixels), 100).numpy().astype(int)
    pillow = Image.fromarray(pixels).resize((100, 75), Image.Resampling.LANCZOS)
    assert np.abs(ours - np.asarray(pillow).astype(int)).max() <= 2


def test_jpeg_decodes_to_pillows_pixels() -> None:
    jpeg = _encoded(_noise(48, 64), "JPEG")
    ours = preprocessing.decode_image(tf.constant(jpeg)).numpy().astype(int)
    pillow = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
    assert np.abs(ours - pillow).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_formats_decode_exactly(kind: str) -> None:
    pixels = _noise(30, 40)
    decoded = preprocessing.decode_image(tf.constant(_encoded(pixels, kind)))
    np.testing.assert_array_equal(decoded, pixels)


def test_preprocessing_fn_stores_the_fitted_pixels_without_loss() -> None:
    jpeg = _encoded(_noise(90, 120), "JPEG")
    outputs = preprocessing.preprocessing_fn(
        {
            features.IMAGE: tf.constant([[jpeg], [jpeg]]),
            features.POSTURE: tf.constant([["Lying"], ["Unknown"]]),
        },
        {"image_size": 32, "fit": "stretch"},
    )
    expected = preprocessing.fit_image(preprocessing.decode_image(tf.constant(jpeg)), 32, "stretch")
    stored = tf.io.decode_png(outputs[features.IMAGE][0])
    np.testing.assert_array_equal(stored, expected)
    assert outputs[features.LABEL].numpy().tolist() == [2, -1]


def test_labels_follow_the_order_of_the_classes() -> None:
    labels = preprocessing.label_of(tf.constant([*features.POSTURES, features.BLANK, "sitting"]))
    assert labels.numpy().tolist() == [0, 1, 2, -1, -1]
