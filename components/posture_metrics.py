"""Two metrics that TFMA lacks: expected calibration error and a macro F1 that follows argmax.

The Evaluator finds them by module and class name (see `pipeline/evaluation.py`).
"""

from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from tensorflow_model_analysis.metrics import (
    metric_types,
    metric_util,
    multi_class_confusion_matrix_metrics,
)
from tensorflow_model_analysis.proto import config_pb2

EXPECTED_CALIBRATION_ERROR: Final = "expected_calibration_error"
MACRO_F1: Final = "macro_f1"
CALIBRATION_BINS: Final = 15

Totals = npt.NDArray[np.float64]


class ExpectedCalibrationError(metric_types.Metric):
    """How far the confidence of the top label is from its accuracy, 0 (best) to 1.

    Predictions are put by the probability of their top label into equal-width
    bins over [0, 1]; the error is the mean over images of
    |accuracy of the bin - mean confidence of the bin|. Guo, Pleiss, Sun and
    Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, eq. 3.
    """

    def __init__(
        self, bins: int = CALIBRATION_BINS, name: str = EXPECTED_CALIBRATION_ERROR
    ) -> None:
        """Takes the number of bins and the name in the results."""
        super().__init__(
            metric_util.merge_per_key_computations(_calibration_computations),
            bins=bins,
            name=name,
        )


class MacroF1(metric_types.Metric):
    """The unweighted mean of the F1 scores of the classes, the top label counting as predicted.

    The mean runs over the classes that occur among the labels or predictions of
    the slice, as scikit-learn's `f1_score(average="macro")` does. TFMA's own
    `F1Score` with `macro_average` cuts at 0.5 instead of taking the top label,
    and fails together with `top_k`.
    """

    def __init__(self, name: str = MACRO_F1) -> None:
        """Takes the name in the results."""
        super().__init__(
            metric_util.merge_per_key_computations(_macro_f1_computations), name=name
        )


metric_types.register_metric(ExpectedCalibrationError)
metric_types.register_metric(MacroF1)


def _calibration_computations(
    name: str,
    bins: int,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(
        name=name,
        model_name=model_name,
        output_name=output_name,
        example_weighted=example_weighted,
    )
    combiner = _CalibrationCombiner(key, eval_config, bins)
    return [metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]


class _CalibrationCombiner(beam.CombineFn):
    """Sums weight, confidence and correctness by bin: an array [3, bins] of float64."""

    def __init__(
        self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None, bins: int
    ) -> None:
        self._key = key
        self._eval_config = eval_config
        self._bins = bins

    def create_accumulator(self) -> Totals:
        return np.zeros((3, self._bins))

    def add_input(
        self, accumulator: Totals, element: metric_types.StandardMetricInputs
    ) -> Totals:
        for label, prediction, weight in metric_util.to_label_prediction_example_weight(
            element,
            eval_config=self._eval_config,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            example_weighted=self._key.example_weighted,
            flatten=False,
        ):
            top = int(np.argmax(prediction))
            confidence = float(prediction[top])
            # Intervals are closed on the right, as in the paper: 1.0 is in the last one.
            bin_index = min(max(int(np.ceil(confidence * self._bins)) - 1, 0), self._bins - 1)
            correct = float(top == int(label[0]))
            accumulator[:, bin_index] += float(weight[0]) * np.array([1.0, confidence, correct])
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Totals]) -> Totals:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: Totals) -> dict[metric_types.MetricKey, float]:
        weights, confidences, correct = accumulator
        gaps = np.abs(correct - confidences).sum()
        return {self._key: float(gaps / weights.sum()) if weights.sum() else float("nan")}


def _macro_f1_computations(
    name: str,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(
        name=name,
        model_name=model_name,
        output_name=output_name,
        example_weighted=example_weighted,
    )
    # A threshold of 0 makes the top label the prediction, however unconfident it is.
    # TFMA computes equal computations once, so the confusion matrix costs nothing extra.
    computations = multi_class_confusion_matrix_metrics.multi_class_confusion_matrices(
        thresholds=[0.0],
        eval_config=eval_config,
        model_name=model_name,
        output_name=output_name,
        example_weighted=example_weighted,
    )
    matrices_key = computations[-1].keys[-1]

    def result(metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        return {key: _macro_f1(metrics[matrices_key].get(0.0, {}))}

    return [*computations, metric_types.DerivedMetricComputation(keys=[key], result=result)]


def _macro_f1(
    matrix: dict[multi_class_confusion_matrix_metrics.MatrixEntryKey, float],
) -> float:
    """Means the F1 scores, 2 TP / (2 TP + FP + FN), of the classes that occur.

    Args:
      matrix: weighted count of images by actual and predicted class.

    Returns:
      The mean, 0 to 1, or NaN for an empty matrix.
    """
    hits: dict[int, float] = {}
    occurrences: dict[int, float] = {}
    for (actual, predicted), count in matrix.items():
        if not count:
            continue
        for label in (actual, predicted):
            occurrences[label] = occurrences.get(label, 0.0) + count
        if actual == predicted:
            hits[actual] = hits.get(actual, 0.0) + count
    if not occurrences:
        return float("nan")
    scores = [2 * hits.get(label, 0.0) / total for label, total in occurrences.items()]
    return float(np.mean(scores))
