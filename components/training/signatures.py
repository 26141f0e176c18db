"""The signatures of the exported model.

`serving_default` takes encoded pictures, `serving_examples` takes examples as in the TFRecords;
both say whether the model is unsure. `transform_features` gives the Evaluator labels and slices.

Input may be anything: a picture that cannot be read is refused without harm to the others in its
batch, and a batch of any length needs no more memory than `CHUNK` pictures.
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, Final

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.examples import preprocessing
from components.training import model_run
from components.training.network import for_answers
from schema import features

# Pictures of a request in memory at once, and pictures decoded at once; each may be as large
# as `features.MAX_PIXELS`.
CHUNK: Final = 32
DECODED_AT_ONCE: Final = 4


class ServingModule(tf.Module):
    """What is saved: the graphs of the model and of Transform, and the signatures.

    Args:
      model: float32 [batch, size, size, 3] in 0..255 to float32 [batch, classes].
      transform: output of the Transform component.
      ingest_size: side of the square that ingested pictures fit into, pixels.
      image_size: side of the model's input, pixels.
      fit: how pictures are resized to it (`preprocessing.fit_image`).
      threshold: lowest confidence of a sure answer; None if no answer is sure.
    """

    def __init__(
        self,
        model: keras.Model,
        transform: tft.TFTransformOutput,
        ingest_size: int,
        image_size: int,
        fit: str,
        threshold: float | None,
    ) -> None:
        super().__init__()
        self._answer = for_answers(model)
        layer = transform.transform_features_layer()
        # Wrapped, because Keras would trace an attribute again. Its graph has no variables or
        # tables that need to be tracked; TensorFlow would refuse to save those.
        self._transform: Callable[[dict[str, tf.Tensor]], Any] = lambda columns: layer(columns)
        self._raw_spec = transform.raw_feature_spec()
        self._ingest_size = ingest_size
        self._image_size = image_size
        self._fit = fit
        # Variables, so that they can be read from the exported model.
        self.postures = tf.Variable(list(features.POSTURES), trainable=False)
        self.threshold = tf.Variable(
            math.inf if threshold is None else threshold, trainable=False, dtype=tf.float32
        )
        self._folder = tempfile.TemporaryDirectory()  # until it is saved, with its content
        self._identity = _first_line(Path(self._folder.name))

    def _parse(self, examples: tf.Tensor, *columns: str) -> dict[str, tf.Tensor]:
        return tf.io.parse_example(examples, {name: self._raw_spec[name] for name in columns})

    def _stored(self, encoded: tf.Tensor) -> tf.Tensor:
        """Processes a stored picture as Transform does."""
        image = preprocessing.decode_image(encoded)
        return preprocessing.fit_image(image, self._image_size, self._fit)

    def _unsure(self, confidence: tf.Tensor) -> tf.Tensor:
        return ~(confidence >= self.threshold)  # NaN is unsure, too

    def _who(self, count: tf.Tensor) -> dict[str, tf.Tensor]:
        """Who answers, and when it is unsure, for each of some pictures."""
        identity = self._identity.lookup(tf.constant(0, tf.int64))
        return {
            features.MODEL: tf.fill([count], identity),
            features.THRESHOLD: tf.fill([count], self.threshold),
        }

    @property
    def _square(self) -> tf.TensorSpec:
        return tf.TensorSpec([self._image_size, self._image_size, 3], tf.uint8)

    def _fitted(self, encoded: tf.Tensor) -> tf.Tensor:
        """Processes a served picture as ingestion and Transform do together."""
        image = preprocessing.decode_image(preprocessing.bounded(encoded))
        image = preprocessing.scale_down(image, self._ingest_size)
        return preprocessing.fit_image(image, self._image_size, self._fit)

    def _chunk(self, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Probabilities of up to `CHUNK` pictures, and which of them are refused.

        Only a dataset can catch an error within a graph: it drops pictures that cannot be
        read, and black ones take their places.
        """
        count = tf.size(encoded)
        read = tf.data.Dataset.from_tensor_slices((tf.range(count), encoded)).map(
            lambda place, one: (place, self._fitted(one)), num_parallel_calls=DECODED_AT_ONCE
        )
        black = tf.zeros(self._square.shape, self._square.dtype)
        instead = tf.data.Dataset.from_tensors((count, black))
        places, pictures = (
            read.ignore_errors().concatenate(instead).batch(CHUNK + 1).get_single_element()
        )
        last = tf.size(places) - 1
        rows = tf.tensor_scatter_nd_update(
            tf.fill([count + 1], last), places[:, tf.newaxis], tf.range(last + 1)
        )[:count]
        refused = rows == last
        pictures = tf.cast(tf.gather(pictures, rows), tf.float32)
        probabilities = self._answer(pictures)
        return tf.where(refused[:, tf.newaxis], 0.0, probabilities), refused

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False
    )
    def serve_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded pictures (JPEG, PNG, BMP, first frame of a GIF; any size) to answers.

        Args:
          image_bytes: string [batch], any number of pictures.

        Returns:
          `probabilities` float32 [batch, classes], `label` string [batch], `confidence`
          float32 [batch], `unsure` bool [batch], and `refused` bool [batch]: whether the
          picture could not be read, or is larger than ingestion allows. A refused one has no
          label, probabilities of 0, and is unsure. Who answers: `model` string [batch],
          RUN/VERSION or `model_run.NOT_PUSHED`, and `threshold` float32 [batch], below which
          it is unsure; infinite if no answer is sure.
        """
        count = tf.size(image_bytes)
        chunks = -(-count // CHUNK)

        def answer(
            number: tf.Tensor, probabilities: tf.TensorArray, refused: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
            first = number * CHUNK
            rows, bad = self._chunk(image_bytes[first : first + CHUNK])
            return number + 1, probabilities.write(number, rows), refused.write(number, bad)

        def parts(dtype: tf.DType, *shape: int) -> tf.TensorArray:
            return tf.TensorArray(dtype, chunks, element_shape=[None, *shape], infer_shape=False)

        _, rows, bad = tf.while_loop(
            lambda number, *_: number < chunks,
            answer,
            (tf.constant(0), parts(tf.float32, len(features.POSTURES)), parts(tf.bool)),
            parallel_iterations=1,
        )
        probabilities = tf.ensure_shape(rows.concat(), [None, len(features.POSTURES)])
        refused = tf.ensure_shape(bad.concat(), [None])
        confidence = tf.reduce_max(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "label": tf.where(refused, "", _labels(probabilities)),
            "confidence": confidence,
            features.UNSURE: self._unsure(confidence) | refused,
            features.REFUSED: refused,
            **self._who(count),
        }

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False
    )
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples as in the TFRecords, string [batch], to probabilities.

        The pictures are decoded and fitted by the functions that Transform uses, so the pixels
        are those that the model was trained on; ServingCheck compares them. The Transform graph
        itself would take a sixth more time: it ends in PNGs, which have to be decoded again.

        Returns:
          `probabilities`, `label`, `unsure`, `model` and `threshold`, see `serve_images`.
        """
        encoded = tf.reshape(self._parse(examples, features.IMAGE)[features.IMAGE], [-1])
        pictures = tf.map_fn(self._stored, encoded, fn_output_signature=self._square)
        probabilities = self._answer(tf.cast(pictures, tf.float32))
        return {
            "probabilities": probabilities,
            "label": _labels(probabilities),
            features.UNSURE: self._unsure(tf.reduce_max(probabilities, axis=-1)),
            **self._who(tf.size(encoded)),
        }

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False
    )
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples, string [batch], to what the Evaluator judges and slices by.

        Returns:
          `label` int64 [batch] and a string [batch] for each of
          `schema.features.QUALITIES`. No picture is decoded.
        """
        columns = (features.POSTURE, features.WIDTH, features.HEIGHT, *features.MEASURES)
        transformed = self._transform(self._parse(examples, *columns))
        return {name: transformed[name] for name in (features.LABEL, *features.QUALITIES)}

    def signatures(self) -> dict[str, Any]:
        """The functions by the name that callers use."""
        return {
            "serving_default": self.serve_images,
            "serving_examples": self.serve_examples,
            "transform_features": self.transform_features,
        }


def _labels(probabilities: tf.Tensor) -> tf.Tensor:
    """The most probable postures, string [batch]."""
    return tf.gather(tf.constant(features.POSTURES), tf.argmax(probabilities, axis=-1))


def _first_line(folder: Path) -> tf.lookup.StaticHashTable:
    """A table of the lines of `model_run.IDENTITY`, which is read when the model is loaded.

    TensorFlow keeps no other text of a SavedModel where it can be changed without loading it.

    Args:
      folder: gets the file, for `export` to copy.
    """
    file = folder / PurePath(model_run.IDENTITY).name
    file.write_text(model_run.NOT_PUSHED, encoding="utf-8")
    index = tf.lookup.TextFileIndex
    lines = tf.lookup.TextFileInitializer(
        str(file), tf.int64, index.LINE_NUMBER, tf.string, index.WHOLE_LINE
    )
    return tf.lookup.StaticHashTable(lines, model_run.NOT_PUSHED)


def export(module: ServingModule, directory: str) -> None:
    """Writes the SavedModel that is evaluated, checked and pushed."""
    tf.saved_model.save(module, directory, signatures=module.signatures())
