"""The exported model's ways in.

`serving_default` takes what a camera sends, `serving_examples` what the
TFRecords hold; both say whether the model is unsure. `transform_features` gives
the Evaluator labels and slices.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components import preprocessing
from schema import features


class ServingModule(tf.Module):
    """What is saved: the Keras model, the Transform graph, and the signatures.

    Args:
      model: float32 [batch, size, size, 3] in 0..255 to float32 [batch, 3].
      transform: output of the Transform component.
      ingest_size: side of the square that ingested pictures fit, pixels.
      image_size: side of the model's input, pixels.
      fit: how pictures are brought to that side (`preprocessing.fit_image`).
      threshold: least confidence of a sure answer; None if no answer is sure.
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
        self.model = model
        self.transform = transform.transform_features_layer()
        self._raw_spec = transform.raw_feature_spec()
        self._ingest_size = ingest_size
        self._image_size = image_size
        self._fit = fit
        # A variable, so that the exported model can be asked for it.
        self.threshold = tf.Variable(
            math.inf if threshold is None else threshold, trainable=False, dtype=tf.float32
        )

    def _parse(self, examples: tf.Tensor, *columns: str) -> dict[str, tf.Tensor]:
        return tf.io.parse_example(examples, {name: self._raw_spec[name] for name in columns})

    def _ingested(self, image: tf.Tensor) -> tf.Tensor:
        return preprocessing.scale_down(image, self._ingest_size)

    def _unsure(self, confidence: tf.Tensor) -> tf.Tensor:
        return ~(confidence >= self.threshold)  # NaN is unsure, too

    def _pictures(self, encoded: tf.Tensor, before: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Decodes and fits pictures, with something done to each in between."""

        def picture(one: tf.Tensor) -> tf.Tensor:
            image = before(preprocessing.decode_image(one))
            return preprocessing.fit_image(image, self._image_size, self._fit)

        spec = tf.TensorSpec([self._image_size, self._image_size, 3], tf.uint8)
        return tf.cast(tf.map_fn(picture, encoded, fn_output_signature=spec), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded pictures (JPEG, PNG, BMP, first frame of a GIF; any size) to answers.

        Args:
          image_bytes: string [batch].

        Returns:
          `probabilities` float32 [batch, 3], `label` string [batch], `confidence`
          float32 [batch], `unsure` bool [batch].
        """
        probabilities = self.model(self._pictures(image_bytes, self._ingested), training=False)
        confidence = tf.reduce_max(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "label": tf.gather(tf.constant(features.POSTURES), tf.argmax(probabilities, axis=-1)),
            "confidence": confidence,
            features.UNSURE: self._unsure(confidence),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples as in the TFRecords, string [batch], to probabilities.

        The pictures are decoded and fitted as in Transform, so they are to the bit what the
        model was trained on. The Transform graph itself would take a sixth more time: it
        ends in PNGs, to be decoded again.

        Returns:
          `probabilities` float32 [batch, 3], `unsure` bool [batch].
        """
        encoded = tf.reshape(self._parse(examples, features.IMAGE)[features.IMAGE], [-1])
        probabilities = self.model(self._pictures(encoded, tf.identity), training=False)
        confidence = tf.reduce_max(probabilities, axis=-1)
        return {"probabilities": probabilities, features.UNSURE: self._unsure(confidence)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples, string [batch], to what the Evaluator judges and slices by.

        Returns:
          `label` int64 [batch] and a string [batch] for each of
          `schema.features.QUALITIES`. No picture is decoded.
        """
        columns = (features.POSTURE, features.WIDTH, features.HEIGHT, *features.MEASURES)
        transformed = self.transform(self._parse(examples, *columns))
        return {name: transformed[name] for name in (features.LABEL, *features.QUALITIES)}

    def signatures(self) -> dict[str, Any]:
        """The functions by the name that callers use."""
        return {
            "serving_default": self.serve_images,
            "serving_examples": self.serve_examples,
            "transform_features": self.transform_features,
        }


def export(module: ServingModule, directory: str) -> None:
    """Writes the SavedModel that is evaluated, checked and pushed."""
    tf.saved_model.save(module, directory, signatures=module.signatures())
