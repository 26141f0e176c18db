import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pipeline.review import label_errors

pytestmark = pytest.mark.filterwarnings("ignore:May not flag all label issues")


def answers(images: int, seed: int):
    """Postures, and the probabilities of a model that is right about 95 % of them."""
    generator = np.random.default_rng(seed)
    postures = generator.integers(0, 3, images)
    scores = generator.normal(size=(images, 3))
    scores[np.arange(images), postures] += 3
    exponents = np.exp(1.5 * scores)
    return postures, exponents / exponents.sum(axis=1, keepdims=True)


def test_swapped_labels_are_found_and_come_first():
    postures, probabilities = answers(600, seed=1)
    swapped = np.random.default_rng(2).choice(600, 30, replace=False)
    labels = postures.copy()
    labels[swapped] = (labels[swapped] + 1) % 3
    found = label_errors.suspects(labels, probabilities)
    assert len(set(found) & set(swapped)) >= 27
    assert len(set(found[:20]) & set(swapped)) >= 18
    quality = label_errors.label_quality(labels, probabilities)
    assert (np.diff(quality[found]) >= 0).all()


def test_right_labels_and_sure_answers_leave_nothing_to_doubt():
    labels = np.arange(60) % 3
    assert label_errors.suspects(labels, np.eye(3)[labels] * 0.94 + 0.02).tolist() == []


def test_a_posture_without_labels_does_not_hide_errors_among_the_others():
    labels = np.array([0] * 20 + [2] * 20)
    probabilities = np.eye(3)[labels] * 0.9 + 0.1 / 3
    labels[3] = 2
    assert label_errors.suspects(labels, probabilities).tolist() == [3]


@settings(max_examples=50)
@given(st.data())
def test_any_answers_about_any_labels_give_positions_each_once(data):
    labels = data.draw(npst.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, 2)))
    raw = data.draw(npst.arrays(np.float64, (len(labels), 3), elements=st.floats(0, 1)))
    probabilities = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)
    found = label_errors.suspects(labels, probabilities)
    assert len(set(found.tolist())) == len(found)
    assert set(found.tolist()) <= set(range(len(labels)))
