"""Checks the Evaluator's own metrics against scikit-learn and against the paper's formula."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from components.judging import metrics

CASES = st.lists(
    st.tuples(st.integers(0, 2), st.tuples(*[st.floats(0.001, 1.0, allow_subnormal=False)] * 3)),
    min_size=1,
    max_size=60,
)


def _arrays(cases: list[tuple[int, tuple[float, ...]]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels int64 [n] and probabilities float64 [n, 3]."""
    rows = np.array([row for _, row in cases])
    return np.array([label for label, _ in cases]), rows / rows.sum(axis=1, keepdims=True)


def _confusion(labels: np.ndarray, predicted: np.ndarray) -> metrics.Confusion:
    pairs, counts = np.unique(np.stack([labels, predicted], 1), axis=0, return_counts=True)
    entry = metrics.multi_class_confusion_matrix_metrics.MatrixEntryKey
    return {
        entry(int(a), int(p)): float(count) for (a, p), count in zip(pairs, counts, strict=True)
    }


@given(CASES)
def test_confusion_metrics_equal_scikit_learn(
    cases: list[tuple[int, tuple[float, ...]]],
) -> None:
    labels, probabilities = _arrays(cases)
    predicted = probabilities.argmax(axis=1)
    matrix = _confusion(labels, predicted)
    assert metrics.accuracy(matrix) == pytest.approx(
        sklearn.metrics.accuracy_score(labels, predicted)
    )
    assert metrics.macro_f1(matrix) == pytest.approx(
        sklearn.metrics.f1_score(labels, predicted, average="macro")
    )


def _totals(terms: str, cases: list[tuple[int, tuple[float, ...]]]) -> np.ndarray:
    labels, probabilities = _arrays(cases)
    function = getattr(metrics, terms)
    return sum(function(int(a), p, 1.0) for a, p in zip(labels, probabilities, strict=True))


@given(CASES)
def test_cross_entropy_equals_scikit_learn(cases: list[tuple[int, tuple[float, ...]]]) -> None:
    labels, probabilities = _arrays(cases)
    found = metrics.share(_totals("cross_entropy_terms", cases))
    expected = sklearn.metrics.log_loss(labels, probabilities, labels=[0, 1, 2])
    assert found == pytest.approx(expected, abs=1e-9)


@given(CASES)
def test_calibration_error_equals_the_formula(cases: list[tuple[int, tuple[float, ...]]]) -> None:
    """Sum over the bins of |B_m| / n * |acc(B_m) - conf(B_m)|, B_m = ((m-1)/M, m/M]."""
    labels, probabilities = _arrays(cases)
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    expected = 0.0
    for m in range(1, 16):
        inside = (confidences * 15 > m - 1) & (confidences * 15 <= m)
        if inside.any():
            gap = abs(right[inside].mean() - confidences[inside].mean())
            expected += inside.sum() / len(labels) * gap
    found = metrics.calibration_error(_totals("calibration_terms", cases))
    assert found == pytest.approx(expected, abs=1e-9)


@given(CASES, st.lists(st.booleans(), min_size=60, max_size=60))
def test_coverage_and_selective_accuracy_equal_numpy_and_scikit_learn(
    cases: list[tuple[int, tuple[float, ...]]], drawn: list[bool]
) -> None:
    labels, probabilities = _arrays(cases)
    sure = np.array(drawn[: len(labels)])
    rows = list(zip(labels.tolist(), probabilities, sure.astype(float), strict=True))
    covered = metrics.share(sum(metrics.coverage_terms(*row) for row in rows))
    assert covered == pytest.approx(sure.mean())
    found = metrics.share(sum(metrics.selective_terms(*row) for row in rows))
    if sure.any():
        predicted = probabilities.argmax(axis=1)
        accuracy = sklearn.metrics.accuracy_score(labels[sure], predicted[sure])
        assert found == pytest.approx(accuracy)
    else:
        assert np.isnan(found)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not() -> None:
    right = metrics.calibration_terms(2, np.array([0.0, 0.0, 1.0]), 1.0)
    wrong = metrics.calibration_terms(0, np.array([0.0, 0.0, 1.0]), 1.0)
    assert metrics.calibration_error(right) == 0
    assert metrics.calibration_error(wrong) == 1
    assert metrics.calibration_error(right + wrong) == pytest.approx(0.5)


def test_a_probability_of_zero_stays_finite() -> None:
    terms = metrics.cross_entropy_terms(0, np.array([0.0, 0.0, 1.0]), 1.0)
    assert metrics.share(terms) == pytest.approx(-np.log(1e-7))


def test_no_image_is_not_a_number() -> None:
    assert np.isnan(metrics.accuracy({}))
    assert np.isnan(metrics.macro_f1({}))
    assert np.isnan(metrics.share(np.zeros(2)))
    assert np.isnan(metrics.calibration_error(np.zeros((3, 15))))
