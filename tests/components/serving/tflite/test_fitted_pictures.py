"""Which pictures are chosen, and that they are the fitted ones."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.examples import preprocessing
from components.serving.tflite import fitted_pictures
from schema import features
from tests.support import small_output
from tests.support.examples import serialized


@settings(max_examples=30)
@given(total=st.integers(0, 60), count=st.integers(1, 70))
def test_the_chosen_lie_evenly(total: int, count: int) -> None:
    chosen = list(
        fitted_pictures.evenly(tf.data.Dataset.range(total), total, count).as_numpy_iterator()
    )
    assert len(chosen) == min(total, count)
    steps = np.diff([-1, *chosen])
    assert steps.max(initial=1) - steps.min(initial=total or 1) <= 1


def test_fitted_pictures_are_the_stored_ones_in_order(tmp_path: Path) -> None:
    small_output.write_images(tmp_path, "train", 6)
    rows = [small_output.row(index) for index in range(6)]
    stored = fitted_pictures.stored(tmp_path, "train")
    assert list(stored.as_numpy_iterator()) == [serialized(row) for row in rows]
    for index, picture in enumerate(fitted_pictures.fitted(stored, 32, "border")):
        decoded = preprocessing.decode_image(tf.constant(rows[index][features.IMAGE]))
        np.testing.assert_array_equal(picture, preprocessing.fit_image(decoded, 32, "border"))
