"""Reads what the Evaluator wrote, for people and for OUT/run.json.

TensorFlow Model Analysis is imported when a function is called: it takes 20 s.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from schema import features

OVERALL: Final = "overall"

# How TFMA names the candidate: no name when it is alone, this one beside a baseline.
_CANDIDATE: Final = ("", "candidate")

# The metrics that are one number and keep the name that TFMA gives them.
_SINGLE_VALUES: Final = (
    "example_count",
    "accuracy",
    "macro_f1",
    "cross_entropy",
    "expected_calibration_error",
)
_VALUES_BY_CLASS: Final = {"precision": "precision", "recall": "recall", "f1_score": "f1"}
_CONFUSION_MATRIX: Final = "multi_class_confusion_matrix_at_thresholds"

_COLUMN_NAMES: Final = {
    features.TRANCHE: "tranche",
    features.POSTURE: "posture",
    features.OCCLUDED: "occlusion",
    features.HOW_MANY: "number of persons",
    features.PERSON_TYPE: "kind of person",
}


def read_metrics(evaluation_uri: str) -> dict[str, dict[str, Any]]:
    """Reads the metrics of the candidate model by slice.

    Args:
      evaluation_uri: folder of the Evaluator's `evaluation` artifact.

    Returns:
      Metrics by slice name: `overall` first, then `tranche=1`,
      `primary_posture=Lying`, `tranche=1, primary_posture=Lying` and so on, in
      that order. Each slice holds `example_count` (int), `accuracy`, `macro_f1`,
      `expected_calibration_error`, `cross_entropy` (nats), `precision/Sitting`,
      `recall/Sitting`, `f1/Sitting` and so on for each class, all float or None
      where they are not defined (a class that does not occur); `accuracy_low`
      and `accuracy_high`, the 95 % confidence bounds (None in slices too small
      for them; too narrow everywhere, since the frames of a clip are alike); and
      `confusion_matrix`, counts as [actual][predicted] in the order of
      `features.POSTURES`.
    """
    import tensorflow_model_analysis as tfma

    results = {
        _slice_key(message.slice_key): _slice_metrics(message)
        for message in tfma.load_metrics(evaluation_uri)
    }
    columns = features.MASTER_COLUMNS
    order = sorted(results, key=lambda key: (len(key), [columns.index(c) for c, _ in key], key))
    return {slice_name(key): results[key] for key in order}


def refusals(evaluation_uri: str) -> list[str]:
    """Says why the Evaluator did not bless the model.

    Args:
      evaluation_uri: folder of the Evaluator's `evaluation` artifact.

    Returns:
      One sentence for each condition that failed, overall first; empty if the
      model was blessed.
    """
    import tensorflow_model_analysis as tfma

    result = tfma.load_validation_result(evaluation_uri)
    if result is None or result.validation_ok:
        return []
    metrics = read_metrics(evaluation_uri)
    sentences: dict[tuple[Any, ...], str] = {}
    for validation in result.metric_validations_per_slice:
        key = _slice_key(validation.slice_key)
        count = metrics.get(slice_name(key), {}).get("example_count")
        for failure in validation.failures:
            sentences[(len(key), key, len(sentences))] = _failure_sentence(key, count, failure)
    ordered = [sentences[position] for position in sorted(sentences)]
    for missing in result.missing_slices:
        columns = " and ".join(_COLUMN_NAMES[c] for c in missing.feature_keys)
        ordered.append(
            f"There was no image in the test split to measure accuracy by {columns} on."
            if columns
            else "There was no image in the test split to measure accuracy on."
        )
    return ordered


def slice_name(key: tuple[tuple[str, str], ...]) -> str:
    """Names a slice, given as pairs of column and value, the way `read_metrics` does."""
    return ", ".join(f"{column}={value}" for column, value in key) or OVERALL


def _failure_sentence(key: tuple[tuple[str, str], ...], count: int | None, failure: Any) -> str:
    place = _place(key)
    # A threshold on a metric that was not computed fails without a value.
    if failure.message:
        return f"{failure.metric_key.name} {place} could not be judged: {failure.message.strip()}"
    value = failure.metric_value.double_value.value
    images = "" if count is None else f" of {count:,} image{'' if count == 1 else 's'}"
    if failure.metric_threshold.HasField("change_threshold"):
        allowed = -failure.metric_threshold.change_threshold.absolute.value
        return (
            f"Accuracy {place} is {_decimals(-value, allowed)[0]} below that of the last blessed "
            f"model, where {_decimals(-value, allowed)[1]} is allowed."
        )
    floor = failure.metric_threshold.value_threshold.lower_bound.value
    shown, shown_floor = _decimals(value, floor)
    return f"Accuracy {place} is {shown}{images}, below the floor of {shown_floor}."


def _place(key: tuple[tuple[str, str], ...]) -> str:
    if not key:
        return "overall"
    return "in " + ", ".join(f"{_COLUMN_NAMES[column]} {value}" for column, value in key)


def _decimals(value: float, limit: float) -> tuple[str, str]:
    """Writes two numbers with two decimals, or with as many as it takes to tell them apart."""
    for digits in range(2, 6):
        texts = (f"{value:.{digits}f}", f"{limit:.{digits}f}")
        if texts[0] != texts[1]:
            break
    return texts


def _slice_key(message: Any) -> tuple[tuple[str, str], ...]:
    pairs = []
    for single in message.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind)
        pairs.append((single.column, value.decode() if isinstance(value, bytes) else str(value)))
    # TFMA sorts the columns of a slice by name; the order of the label tables reads better.
    return tuple(sorted(pairs, key=lambda pair: features.MASTER_COLUMNS.index(pair[0])))


def _slice_metrics(message: Any) -> dict[str, Any]:
    metrics: dict[str, Any] = {"accuracy_low": None, "accuracy_high": None}
    for item in message.metric_keys_and_values:
        if item.key.model_name not in _CANDIDATE or item.key.is_diff:
            continue
        name = item.key.name
        if name == _CONFUSION_MATRIX:
            metrics["confusion_matrix"] = _confusion_matrix(item.value)
        elif name in _VALUES_BY_CLASS:
            posture = features.POSTURES[item.key.sub_key.class_id.value]
            metrics[f"{_VALUES_BY_CLASS[name]}/{posture}"] = _number(item.value)
        elif name in _SINGLE_VALUES:
            metrics[name] = _number(item.value)
        if name == "accuracy" and item.HasField("confidence_interval"):
            # The interval is symmetric by construction and may leave [0, 1].
            metrics["accuracy_low"] = max(_number(item.confidence_interval.lower_bound) or 0.0, 0.0)
            high = _number(item.confidence_interval.upper_bound)
            metrics["accuracy_high"] = 1.0 if high is None else min(high, 1.0)
    metrics["example_count"] = round(metrics["example_count"])
    return metrics


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
