"""The pictures that the model sees, on the training and on the serving side."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.examples import preprocessing
from schema import features
from tests.support.transform import preprocess, transform


def _noise(height: int, width: int, seed: int = 1) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("fit", ["stretch", "border", "letterbox"])
@settings(max_examples=25)
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


@settings(max_examples=25)
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


MEASURED: dict[str, Any] = {
    features.WIDTH: 640,
    features.HEIGHT: 480,
    features.BRIGHTNESS: 100.0,
    features.CONTRAST: 50.0,
    features.SHARPNESS: 300.0,
    features.SATURATION: 60.0,
}


def test_preprocessing_fn_stores_the_fitted_pixels_without_loss(tmp_path: Path) -> None:
    jpeg = _encoded(_noise(90, 120), "JPEG")
    rows = [
        {
            features.IMAGE: jpeg,
            features.POSTURE: posture,
            features.CLIP: b"a",
            features.FILE_NAME: b"a_1.jpg",
            **MEASURED,
        }
        for posture in (b"Lying", b"Unknown")
    ]
    outputs = preprocess(rows, tmp_path, 32)
    expected = preprocessing.fit_image(preprocessing.decode_image(tf.constant(jpeg)), 32, "stretch")
    for output in outputs:
        np.testing.assert_array_equal(tf.io.decode_png(output[features.IMAGE]), expected)
    assert [output[features.LABEL] for output in outputs] == [2, -1]
    assert [output[features.CLIP] for output in outputs] == [b"a", b"a"]
    assert [output[features.FILE_NAME] for output in outputs] == [b"a_1.jpg", b"a_1.jpg"]
    assert set(outputs[0]) == {
        features.IMAGE,
        features.LABEL,
        features.CLIP,
        features.FILE_NAME,
        *features.QUALITIES,
    }


def _qualities(rows: list[dict[str, Any]], folder: Path) -> dict[str, list[str]]:
    outputs = transform(rows, preprocessing.qualities, folder)
    return {name: [output[name].decode() for output in outputs] for name in features.QUALITIES}


def test_qualities_are_the_outer_fifths_and_grayscale(tmp_path: Path) -> None:
    order = np.random.default_rng(5).permutation(100)
    rows = [
        {
            **MEASURED,
            features.BRIGHTNESS: float(n),
            features.SHARPNESS: 1000.0 - n,
            # Upright and lying pictures by turns: what counts is the shorter side.
            features.WIDTH: int(100 + n if n % 2 else 900),
            features.HEIGHT: int(900 if n % 2 else 100 + n),
            features.SATURATION: 0.4 if n in (17, 60) else 22.0,
        }
        for n in order.tolist()
    ]
    found = _qualities(rows, tmp_path)
    # Ranks 0 to 99; the sketch may be off by one where a quantile lies between two ranks.
    where = {
        (name, value): sorted(order[np.array(found[name]) == value])
        for name in features.QUALITIES
        for value in features.QUALITY_VALUES[name]
    }
    for name, value, expected in (
        (features.LIGHT, "dark", range(20)),
        (features.LIGHT, "bright", range(80, 100)),
        (features.FOCUS, "blurred", range(80, 100)),
        (features.SIZE, "small", range(20)),
    ):
        assert len(set(where[name, value]) ^ set(expected)) <= 1, (name, value)
        assert len(where[name, value]) >= 19
    assert where[features.COLOUR, "grayscale"] == [17, 60]
    for name, values in features.QUALITY_VALUES.items():
        assert sum(len(where[name, value]) for value in values) == 100


def test_pictures_that_measure_the_same_are_all_usual(tmp_path: Path) -> None:
    found = _qualities([MEASURED] * 30, tmp_path)
    assert {name: set(values) for name, values in found.items()} == {
        features.LIGHT: {"usual"},
        features.FOCUS: {"usual"},
        features.SIZE: {"usual"},
        features.COLOUR: {"colour"},
    }


def test_labels_follow_the_order_of_the_classes() -> None:
    labels = preprocessing.label_of(tf.constant([*features.POSTURES, features.BLANK, "sitting"]))
    assert labels.numpy().tolist() == [0, 1, 2, -1, -1]
