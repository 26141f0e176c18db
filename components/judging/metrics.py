"""Metrics for the Evaluator that TFMA lacks, or computes too slowly or differently.

The Evaluator finds them by module and class name (see `pipeline/evaluation.py`). TFMA runs
Keras's accuracy and cross entropy eagerly in TensorFlow for each slice, and its own
`CategoricalCrossEntropy` takes one-hot labels only. Its confidence intervals sample images, as
if frames of one clip were independent.
"""

from collections.abc import Callable, Iterable
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

from components import intervals
from components.training import calibration
from schema import features

ACCURACY: Final = "accuracy"
CROSS_ENTROPY: Final = "cross_entropy"
EXPECTED_CALIBRATION_ERROR: Final = "expected_calibration_error"
MACRO_F1: Final = "macro_f1"
COVERAGE: Final = "coverage"
SELECTIVE_ACCURACY: Final = "selective_accuracy"
ACCURACY_INTERVAL: Final = "accuracy_interval"

SMALLEST_PROBABILITY: Final = 1e-7  # as Keras: the logarithm of 0 would swallow every other image

Array = npt.NDArray[np.float64]
# Weighted count of images by (actual, predicted) class.
Confusion = dict[multi_class_confusion_matrix_metrics.MatrixEntryKey, float]
# By clip: images, and right ones.
ClipCounts = dict[bytes, Array]


class Accuracy(metric_types.Metric):
    """The share of images whose top label is right, 0 to 1."""

    def __init__(self, name: str = ACCURACY) -> None:
        """Takes the name in the results."""
        super().__init__(_from_confusion_matrix(accuracy), name=name)


class MacroF1(metric_types.Metric):
    """The unweighted mean of the F1 scores of the classes, the top label counting as predicted.

    The mean is over the classes that occur among the labels or predictions of the slice, as in
    scikit-learn's `f1_score(average="macro")`. TFMA's `F1Score` with `macro_average` applies a
    threshold of 0.5 instead of taking the top label, and fails together with `top_k`.
    """

    def __init__(self, name: str = MACRO_F1) -> None:
        """Takes the name in the results."""
        super().__init__(_from_confusion_matrix(macro_f1), name=name)


class CrossEntropy(metric_types.Metric):
    """The mean of -log(probability of the right class), in nats."""

    def __init__(self, name: str = CROSS_ENTROPY) -> None:
        """Takes the name in the results."""
        super().__init__(_from_sums(cross_entropy_terms, share, (2,)), name=name)


class ExpectedCalibrationError(metric_types.Metric):
    """The mean gap between confidence and accuracy of the top label, 0 (best) to 1.

    The same as `calibration.expected_calibration_error`, from sums that Beam can merge.
    """

    def __init__(self, name: str = EXPECTED_CALIBRATION_ERROR) -> None:
        """Takes the name in the results."""
        super().__init__(
            _from_sums(calibration_terms, calibration_error, (3, calibration.BINS)), name=name
        )


class Coverage(metric_types.Metric):
    """The share of images whose answer is sure, 0 to 1, by the model's output `unsure`."""

    def __init__(self, name: str = COVERAGE) -> None:
        """Takes the name in the results."""
        super().__init__(_from_sums(coverage_terms, share, (2,)), name=name)


class SelectiveAccuracy(metric_types.Metric):
    """The share of right answers among the sure ones; NaN if there are none."""

    def __init__(self, name: str = SELECTIVE_ACCURACY) -> None:
        """Takes the name in the results."""
        super().__init__(_from_sums(selective_terms, share, (2,)), name=name)


class AccuracyInterval(metric_types.Metric):
    """The 95 % interval of the accuracy."""

    def __init__(self, name: str = ACCURACY_INTERVAL) -> None:
        """Takes a name; the names in the results are those of `components.intervals`."""
        super().__init__(_interval_computations, name=name)


for _metric in (
    Accuracy,
    AccuracyInterval,
    MacroF1,
    CrossEntropy,
    ExpectedCalibrationError,
    Coverage,
    SelectiveAccuracy,
):
    metric_types.register_metric(_metric)


def accuracy(matrix: Confusion) -> float:
    """The share of the matrix on its diagonal; NaN if it is empty."""
    total = sum(matrix.values())
    right = sum(count for (actual, predicted), count in matrix.items() if actual == predicted)
    return right / total if total else float("nan")


def macro_f1(matrix: Confusion) -> float:
    """The mean of 2 TP / (2 TP + FP + FN) over the classes that occur; NaN if none does."""
    hits: dict[int, float] = {}
    occurrences: dict[int, float] = {}
    for (actual, predicted), count in matrix.items():
        for label in (actual, predicted):
            occurrences[label] = occurrences.get(label, 0.0) + count
        if actual == predicted:
            hits[actual] = count
    scores = [2 * hits.get(label, 0.0) / total for label, total in occurrences.items() if total]
    return float(np.mean(scores)) if scores else float("nan")


# The following functions take an image's label, its probabilities [classes], and 1 if the answer
# is sure, 0 if it is unsure.


def cross_entropy_terms(label: int, probabilities: Array, _sure: float) -> Array:
    """One image's terms of the sums: [1, -log(probability of `label`)]."""
    return np.array([1.0, -np.log(max(float(probabilities[label]), SMALLEST_PROBABILITY))])


def coverage_terms(_label: int, _probabilities: Array, sure: float) -> Array:
    """One image's terms of the sums: [1, whether it is sure]."""
    return np.array([1.0, sure])


def selective_terms(label: int, probabilities: Array, sure: float) -> Array:
    """One image's terms of the sums: [whether it is sure, whether it is sure and right]."""
    return np.array([sure, sure * float(np.argmax(probabilities) == label)])


def share(totals: Array) -> float:
    """The second sum divided by the first; NaN if the first is 0."""
    return float(totals[1] / totals[0]) if totals[0] else float("nan")


def calibration_terms(label: int, probabilities: Array, _sure: float) -> Array:
    """One image's terms of the sums by bin: count, confidence and correctness, [3, 15]."""
    top = int(np.argmax(probabilities))
    confidence = probabilities[top]
    terms = np.zeros((3, calibration.BINS))
    terms[:, calibration.bin_of(confidence)] = 1.0, confidence, float(top == label)
    return terms


def calibration_error(totals: Array) -> float:
    """The expected calibration error of sums over images, [3, 15]; NaN if there are none."""
    counts, confidences, correct = totals
    return float(np.abs(correct - confidences).sum() / counts.sum()) if counts.any() else np.nan


def _from_confusion_matrix(
    value: Callable[[Confusion], float],
) -> Callable[..., metric_types.MetricComputations]:
    """Makes a metric from the confusion matrix, which TFMA computes once for all of them."""

    def computations(
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
        matrices = multi_class_confusion_matrix_metrics.multi_class_confusion_matrices(
            thresholds=[0.0],  # the top label counts, however unconfident it is
            eval_config=eval_config,
            model_name=model_name,
            output_name=output_name,
            example_weighted=example_weighted,
        )
        matrices_key = matrices[-1].keys[-1]

        def result(metrics: dict[metric_types.MetricKey, Any]) -> metric_types.MetricsDict:
            return {key: value(metrics[matrices_key].get(0.0, {}))}

        return [*matrices, metric_types.DerivedMetricComputation(keys=[key], result=result)]

    return metric_util.merge_per_key_computations(computations)


def _from_sums(
    terms: Callable[[int, Array, float], Array],
    value: Callable[[Array], float],
    shape: tuple[int, ...],
) -> Callable[..., metric_types.MetricComputations]:
    """Makes a metric from the sum of `terms`, of the given shape, over images."""

    def computations(
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
        combiner = _SumCombiner(key, eval_config, terms, value, shape)
        return [metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]

    return metric_util.merge_per_key_computations(computations)


class _SumCombiner(beam.CombineFn):
    """Adds up each image's terms, times its weight, and reduces the sum to a number."""

    def __init__(
        self,
        key: metric_types.MetricKey,
        eval_config: config_pb2.EvalConfig | None,
        terms: Callable[[int, Array, float], Array],
        value: Callable[[Array], float],
        shape: tuple[int, ...],
    ) -> None:
        self._key = key
        self._eval_config = eval_config
        self._terms = terms
        self._value = value
        self._shape = shape

    def create_accumulator(self) -> Array:
        return np.zeros(self._shape)

    def add_input(self, accumulator: Array, element: metric_types.StandardMetricInputs) -> Array:
        sure = _sure(element)
        for label, prediction, weight in metric_util.to_label_prediction_example_weight(
            element,
            eval_config=self._eval_config,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            example_weighted=self._key.example_weighted,
            flatten=False,
        ):
            terms = self._terms(label.item(), prediction, sure)
            accumulator = accumulator + float(weight.item()) * terms
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Array]) -> Array:
        return sum(accumulators, start=self.create_accumulator())

    def extract_output(self, accumulator: Array) -> metric_types.MetricsDict:
        return {self._key: self._value(accumulator)}


def _sure(element: metric_types.StandardMetricInputs) -> float:
    """Whether the model is sure of an image, 1 or 0."""
    return 1.0 - float(np.asarray(element.predictions[features.UNSURE]).item())


def _interval_computations(
    name: str, eval_config: config_pb2.EvalConfig
) -> metric_types.MetricComputations:
    del name
    keys = [metric_types.MetricKey(end) for end in intervals.ACCURACY_ENDS]
    return [
        metric_types.MetricComputation(
            keys=keys,
            preprocessors=[metric_types.FeaturePreprocessor([features.CLIP])],
            combiner=_ClipCombiner(keys, eval_config),
        )
    ]


class _ClipCombiner(beam.CombineFn):
    """Counts each clip's images and right answers, and computes the interval from them."""

    def __init__(
        self, keys: list[metric_types.MetricKey], eval_config: config_pb2.EvalConfig
    ) -> None:
        self._keys = keys
        self._eval_config = eval_config

    def create_accumulator(self) -> ClipCounts:
        return {}

    def add_input(
        self, accumulator: ClipCounts, element: metric_types.StandardMetricInputs
    ) -> ClipCounts:
        label, prediction, _ = next(
            metric_util.to_label_prediction_example_weight(
                element, eval_config=self._eval_config, flatten=False
            )
        )
        clip = np.asarray(element.features[features.CLIP]).item()
        counts = np.array([1.0, float(np.argmax(prediction) == label.item())])
        return _added(accumulator, clip, counts)

    def merge_accumulators(self, accumulators: Iterable[ClipCounts]) -> ClipCounts:
        merged = self.create_accumulator()
        for accumulator in accumulators:
            for clip, counts in accumulator.items():
                _added(merged, clip, counts)
        return merged

    def extract_output(self, accumulator: ClipCounts) -> metric_types.MetricsDict:
        images, right = np.array([*accumulator.values()]).reshape(-1, 2).T
        ends = intervals.accuracy_interval(images, right)
        return dict(zip(self._keys, ends, strict=True))


def _added(counts: ClipCounts, clip: bytes, more: Array) -> ClipCounts:
    counts[clip] = counts[clip] + more if clip in counts else more
    return counts
