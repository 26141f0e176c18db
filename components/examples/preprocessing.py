"""From a stored picture to the pixels that the model sees, in TensorFlow ops.

Transform and the exported model both decode and fit pictures with the functions of this module,
so that training and serving see the same pixels; ServingCheck compares them.
"""

from typing import Any, Final

import tensorflow as tf
import tensorflow_transform as tft

from schema import features

# libjpeg's fast inverse DCT, TensorFlow's default, is off by one grey level on average: enough
# to move the model's probabilities by 0.2.
DCT_METHOD: Final = "INTEGER_ACCURATE"
# Pictures are stored as PNG, without loss: compressing them as JPEG again, even at quality 95,
# changed the decision on 12 of 162 test pictures. Level 1 takes a seventh of the default level's
# time and a tenth more bytes.
PNG_COMPRESSION: Final = 1

# The darkest, brightest, most blurred and smallest fifth of the training split are a slice each:
# few enough to differ from the rest, and enough to measure accuracy on.
QUALITY_BUCKETS: Final = 5
# Mean HSV saturation below which a picture counts as grayscale or near-infrared. A quantile
# would not do: either all pictures of a camera are grayscale or none. Grayscale pictures measure
# 0, or a little more with a colour cast or JPEG's noise; of the colour pictures, the 597 photos
# measure at least 22 and the demo's at least 10.
GRAYSCALE_SATURATION: Final = 8.0


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a picture of any format that TensorFlow knows.

    Args:
      encoded: string scalar: JPEG, PNG, BMP, or the first frame of a GIF.

    Returns:
      uint8 [height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are not such a picture.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=DCT_METHOD),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(image, [None, None, 3])


def bounded(encoded: tf.Tensor) -> tf.Tensor:
    """Refuses a picture that is too large by its header, before it is decoded.

    Args:
      encoded: string scalar, as `decode_image` takes it.

    Returns:
      `encoded`.

    Raises:
      tf.errors.InvalidArgumentError: it has no header, or more pixels than
        `features.MAX_PIXELS`.
    """
    size = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64),
        lambda: _size_in_header(encoded),
    )
    check = tf.debugging.assert_less_equal(
        tf.reduce_prod(size), tf.constant(features.MAX_PIXELS, tf.int64), "the picture is too large"
    )
    with tf.control_dependencies([check]):
        return tf.identity(encoded)


def _size_in_header(encoded: tf.Tensor) -> tf.Tensor:
    """Width and height, int64 [2], from the header of a PNG, a GIF or else a BMP."""

    def numbers(first: int, count: int, dtype: tf.DType, little_endian: bool) -> tf.Tensor:
        part = tf.strings.substr(encoded, first, count)
        return tf.cast(tf.io.decode_raw(part, dtype, little_endian=little_endian), tf.int64)

    def starts(with_what: bytes) -> tf.Tensor:
        return tf.strings.substr(encoded, 0, len(with_what)) == with_what

    return tf.case(
        [
            (starts(b"\x89PNG"), lambda: numbers(16, 8, tf.int32, False)),
            (starts(b"GIF8"), lambda: numbers(6, 4, tf.uint16, True)),
        ],
        default=lambda: tf.abs(numbers(18, 8, tf.int32, True)),
    )


def fit_image(image: tf.Tensor, size: int, fit: str) -> tf.Tensor:
    """Fits a picture of any size into the square that the model takes.

    Args:
      image: uint8 [height, width, 3].
      size: side of the square, pixels.
      fit: `stretch` scales both sides to `size`; `border` keeps the aspect ratio and repeats
        the edge pixels; `letterbox` keeps it and pads with black.

    Returns:
      uint8 [size, size, 3].

    Raises:
      ValueError: `fit` is not one of the three.
    """
    if fit == "stretch":
        return _resize(image, tf.constant([size, size]))
    if fit not in ("border", "letterbox"):
        raise ValueError(f"unknown fit {fit!r}; use stretch, border or letterbox")
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    inner = tf.cast(tf.round(shape * size / tf.reduce_max(shape)), tf.int32)
    inner = tf.maximum(inner, 1)
    image = _resize(image, inner)
    before = (size - inner) // 2
    if fit == "letterbox":
        after = size - inner - before
        paddings = [[before[0], after[0]], [before[1], after[1]], [0, 0]]
        return tf.ensure_shape(tf.pad(image, paddings), [size, size, 3])
    rows = tf.clip_by_value(tf.range(size) - before[0], 0, inner[0] - 1)
    columns = tf.clip_by_value(tf.range(size) - before[1], 0, inner[1] - 1)
    image = tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)
    return tf.ensure_shape(image, [size, size, 3])


def _resize(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


def compact(encoded: tf.Tensor, size: int, fit: str) -> tf.Tensor:
    """Decodes and fits a picture and stores it without loss.

    Args:
      encoded: string scalar, as `decode_image` takes it.
      size: side of the square, pixels.
      fit: see `fit_image`.

    Returns:
      PNG of [size, size, 3], string scalar.
    """
    image = fit_image(decode_image(encoded), size, fit)
    return tf.io.encode_png(image, compression=PNG_COMPRESSION)


def scale_down(image: tf.Tensor, size: int) -> tf.Tensor:
    """Scales a served picture down as ingestion did the stored ones.

    Args:
      image: uint8 [height, width, 3].
      size: largest side of the result, pixels.

    Returns:
      uint8 [h, w, 3] with h, w <= size and the same aspect ratio; a picture that is small
      enough is not changed.
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    ratio = size / tf.reduce_max(shape)

    def smaller() -> tf.Tensor:
        target = tf.maximum(tf.cast(tf.round(shape * ratio), tf.int32), 1)
        resized = tf.image.resize(image, target, method="lanczos3", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    return tf.cond(ratio < 1, smaller, lambda: image)


def label_of(posture: tf.Tensor) -> tf.Tensor:
    """Converts postures to class indices.

    Args:
      posture: string, any shape.

    Returns:
      int64 of the same shape: index into `schema.features.POSTURES`, -1 where the posture is
      not one of them.
    """
    matches = tf.equal(posture[..., tf.newaxis], tf.constant(features.POSTURES))
    index = tf.argmax(tf.cast(matches, tf.int32), axis=-1)
    return tf.where(tf.reduce_any(matches, axis=-1), index, tf.constant(-1, tf.int64))


def qualities(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Compares the measures of pictures with those of the training split.

    Works only inside Transform: the cut points are quantiles of the analysed split
    (`tft.quantiles`). Pictures at a cut point are `usual`, so where all measure the same, none
    is dark, bright, blurred or small.

    Args:
      inputs: width and height of the original and the measures, each [batch, 1].

    Returns:
      A string [batch] for each of `schema.features.QUALITIES`.
    """
    brightness = _flat(inputs[features.BRIGHTNESS])
    sharpness = _flat(inputs[features.SHARPNESS])
    saturation = _flat(inputs[features.SATURATION])
    shorter_side = tf.minimum(_flat(inputs[features.WIDTH]), _flat(inputs[features.HEIGHT]))
    darkest, brightest = _outer_cuts(brightness)
    blurred, _ = _outer_cuts(sharpness)
    small, _ = _outer_cuts(shorter_side)
    index = {
        features.LIGHT: 1
        - tf.cast(brightness < darkest, tf.int32)
        + tf.cast(brightness > brightest, tf.int32),
        features.FOCUS: tf.cast(sharpness >= blurred, tf.int32),
        features.SIZE: tf.cast(shorter_side >= small, tf.int32),
        features.COLOUR: tf.cast(saturation >= GRAYSCALE_SATURATION, tf.int32),
    }
    return {
        name: tf.gather(tf.constant(values), index[name])
        for name, values in features.QUALITY_VALUES.items()
    }


def _flat(column: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.cast(column, tf.float32), [-1])


def _outer_cuts(measure: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the upper end of the lowest bucket and the lower end of the highest."""
    cuts = tf.reshape(tft.quantiles(measure, QUALITY_BUCKETS, epsilon=0.01), [-1])
    return cuts[0], cuts[-1]


def preprocessing_fn(
    inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Transform's entry point: decodes, fits and stores compact pictures.

    Args:
      inputs: raw features, each [batch, 1].
      custom_config: `image_size` and `fit` of the run.

    Returns:
      `image`: string [batch], PNG of [image_size, image_size, 3];
      `label`: int64 [batch]; `clip` and `file_name`: string [batch]; and what `qualities`
      returns.
    """
    size, fit = int(custom_config["image_size"]), custom_config["fit"]
    images = tf.reshape(inputs[features.IMAGE], [-1])
    return {
        features.IMAGE: tf.map_fn(
            lambda jpeg: compact(jpeg, size, fit), images, fn_output_signature=tf.string
        ),
        features.LABEL: tf.reshape(label_of(inputs[features.POSTURE]), [-1]),
        features.CLIP: tf.reshape(inputs[features.CLIP], [-1]),
        features.FILE_NAME: tf.reshape(inputs[features.FILE_NAME], [-1]),
        **qualities(inputs),
    }
