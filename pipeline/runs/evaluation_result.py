"""Reads what the Evaluator wrote: metrics by slice, and how the model met the thresholds.

TensorFlow Model Analysis is imported when a function is called: it takes 20 s.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir
from typing import Any, Final

from pipeline.runs.run import Evaluation, Gate, SliceMetrics
from schema import features
from schema import slices as slicing
from schema.slices import SliceKey

# How TFMA named the model in service in evaluations of both; the candidate was the other one.
_BASELINE: Final = "baseline"

# The single numbers, which keep TFMA's names.
_NUMBERS: Final = frozenset(SliceMetrics.model_fields) - {
    "precision",
    "recall",
    "f1",
    "confusion_matrix",
}
_BY_POSTURE: Final = {"precision": "precision", "recall": "recall", "f1_score": "f1"}
_CONFUSION_MATRIX: Final = "multi_class_confusion_matrix_at_thresholds"

NOT_CHECKED: Final = "Not checked: the test split has no image of it."

# Thresholds are set a rounding error lower than configured (`pipeline.evaluation`).
_DIGITS: Final = 6


def read(evaluation_uri: str, eval_config: str, tranches: Iterable[str]) -> Evaluation:
    """Reads an evaluation.

    Args:
      evaluation_uri: folder of the Evaluator's `evaluation` artifact.
      eval_config: the Evaluator's execution property of that name. The copy in the artifact is
        no use: in a Turkish locale, protobuf's C++ code writes `classids` for `classIds`.
      tranches: all tranches of the data, also those without a test image.

    Returns:
      Metrics by slice, and one gate for each threshold in each slice that it applies to. A
      tranche without a test image has the gate that it would have, not checked.
    """
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    slices = read_slices(evaluation_uri)
    config = json_format.Parse(eval_config, config_pb2.EvalConfig())
    with chdir(evaluation_uri):  # TFMA would take a `[` in its path for a pattern
        result = tfma.load_validation_result(".")
    expected: set[SliceKey] = {((features.TRANCHE, name),) for name in tranches}
    gates = _gates(slices, config, result, expected) if result else ()
    return Evaluation(slices, tuple(gates))


def read_slices(evaluation_uri: str) -> dict[SliceKey, SliceMetrics]:
    """Reads the metrics by slice.

    Args:
      evaluation_uri: folder of the Evaluator's `evaluation` artifact.

    Returns:
      All test images first, then the slices in the order of `schema.slices.COLUMNS`.
    """
    import tensorflow_model_analysis as tfma

    with chdir(evaluation_uri):  # as above
        found = {
            _slice_key(message.slice_key): _metrics(message) for message in tfma.load_metrics(".")
        }
    return {key: found[key] for key in sorted(found, key=slicing.order)}


def slice_name(key: SliceKey) -> str:
    """Names a slice for programs: `overall`, `tranche=1`, `tranche=1, primary_posture=Lying`."""
    return ", ".join(f"{column}={value}" for column, value in key) or "overall"


def _gates(
    slices: Mapping[SliceKey, SliceMetrics], config: Any, result: Any, expected: set[SliceKey]
) -> Iterator[Gate]:
    """The thresholds of an EvalConfig, and what TFMA's validation says of each.

    It says nothing of a slice that the test split does not have. If none of the slices by some
    columns is there, it refuses the model; if one of those `expected` is not, it passes it over.
    """
    failures = {
        (_slice_key(validation.slice_key), failure.metric_key.name): failure
        for validation in result.metric_validations_per_slice
        for failure in validation.failures
        if not failure.metric_threshold.HasField("change_threshold")  # of an earlier time
    }
    thresholds = [
        (metric.class_name.lower(), tuple(slicing.feature_keys), threshold.threshold)
        for spec in config.metrics_specs
        for metric in spec.metrics
        for threshold in metric.per_slice_thresholds
        for slicing in threshold.slicing_specs
    ]
    for metric, columns, threshold in thresholds:
        judged = {key for key in slices if _columns(key) == columns}
        unjudged = {key for key in expected - judged if judged and _columns(key) == columns}
        places = sorted(judged | unjudged, key=slicing.order)
        for key in places or [tuple((column, "") for column in columns)]:
            metrics = slices.get(key)
            failure = failures.get((key, metric))
            yield Gate(
                kind=metric,
                place=key,
                value=getattr(metrics, metric, None),
                limit=_limit(threshold.value_threshold.lower_bound.value),
                passed=None if key in unjudged else metrics is not None and failure is None,
                note=NOT_CHECKED if key in unjudged else _note(failure),
            )


def _columns(key: SliceKey) -> tuple[str, ...]:
    return tuple(column for column, _ in key)


def _limit(threshold: float) -> float:
    return round(threshold, _DIGITS) + 0.0  # no minus zero


def _note(failure: Any) -> str:
    return str(failure.message).strip() if failure else ""


def _slice_key(message: Any) -> SliceKey:
    pairs = []
    for single in message.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind)
        pairs.append((single.column, value.decode() if isinstance(value, bytes) else str(value)))
    return slicing.key(pairs)  # TFMA sorts the columns of a slice by name


def _metrics(message: Any) -> SliceMetrics:
    # A posture that was added since the run is None.
    found: dict[str, Any] = {
        name: dict[str, float | None].fromkeys(features.POSTURES) for name in _BY_POSTURE.values()
    }
    for item in message.metric_keys_and_values:
        name, key = item.key.name, item.key
        if key.is_diff or key.model_name == _BASELINE:
            continue
        elif name == _CONFUSION_MATRIX:
            found["confusion_matrix"] = _confusion_matrix(item.value)
        elif name in _BY_POSTURE:
            posture = features.POSTURES[key.sub_key.class_id.value]
            found[_BY_POSTURE[name]][posture] = _number(item.value)
        elif name in _NUMBERS:
            found[name] = _number(item.value)
    found["example_count"] = round(found["example_count"])
    if sum(map(any, found.get("confusion_matrix", []))) == 1:
        found["macro_f1"] = None  # the mean over postures of which all but one do not occur
    return SliceMetrics(**found)


def _confusion_matrix(value: Any) -> list[list[int]]:
    size = len(features.POSTURES)
    counts = [[0] * size for _ in range(size)]
    for entry in _entries(value):
        # Class -1 stands for a prediction without a positive value, which no softmax gives.
        if entry.predicted_class_id >= 0:
            counts[entry.actual_class_id][entry.predicted_class_id] = round(
                entry.num_weighted_examples
            )
    return counts


def _entries(value: Any) -> Iterator[Any]:
    for matrix in value.multi_class_confusion_matrix_at_thresholds.matrices:
        yield from matrix.entries


def _number(value: Any) -> float | None:
    kind = value.WhichOneof("type")
    bounded = value.bounded_value.value
    number = (bounded if kind == "bounded_value" else value.double_value).value
    return None if math.isnan(number) else float(number)
