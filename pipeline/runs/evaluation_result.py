"""Reads what the Evaluator wrote, for people and for OUT/run.json.

TensorFlow Model Analysis is imported when a function is called: it takes 20 s.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from components.intervals import ACCURACY_ENDS, DIFFERENCE_ENDS
from schema import features

OVERALL: Final = "overall"

# Pairs of column and value; empty for the whole test split.
SliceKey = tuple[tuple[str, str], ...]

# How TFMA names the model in service; the candidate is the only other one.
_BASELINE: Final = "baseline"

# The metrics that are one number and keep the name that TFMA gives them.
_SINGLE_VALUES: Final = (
    "example_count",
    "accuracy",
    "macro_f1",
    "cross_entropy",
    "expected_calibration_error",
    "coverage",
    "selective_accuracy",
)
_ENDS: Final = (*ACCURACY_ENDS, *DIFFERENCE_ENDS)
# None where there is no baseline, the run is from before them, or they are not defined.
_NOT_ALWAYS_THERE: Final = (
    "coverage",
    "selective_accuracy",
    "baseline_accuracy",
    "accuracy_difference",
    *_ENDS,
)
_VALUES_BY_CLASS: Final = {"precision": "precision", "recall": "recall", "f1_score": "f1"}
_CONFUSION_MATRIX: Final = "multi_class_confusion_matrix_at_thresholds"

# The order in which slices and their columns are named.
_COLUMNS: Final = (*features.MASTER_COLUMNS, *features.QUALITIES)

_COLUMN_NAMES: Final = {
    features.TRANCHE: "tranche",
    features.POSTURE: "posture",
    features.OCCLUDED: "occlusion",
    features.HOW_MANY: "number of persons",
    features.PERSON_TYPE: "kind of person",
    features.LIGHT: "light",
    features.FOCUS: "focus",
    features.SIZE: "size",
    features.COLOUR: "colour",
}


def read_slices(evaluation_uri: str) -> dict[SliceKey, dict[str, Any]]:
    """Reads the metrics of the candidate model by slice.

    Args:
      evaluation_uri: folder of the Evaluator's `evaluation` artifact.

    Returns:
      Metrics by slice: that of all test images first, then tranches, postures,
      postures by tranche and so on, in the order of the columns; light and the other
      qualities come last. Each slice holds

      - `example_count` (int), `accuracy`, `macro_f1`, `expected_calibration_error`,
        `cross_entropy` (nats), and for each class `precision/Sitting`,
        `recall/Sitting`, `f1/Sitting`: float, or None where they are not defined (a
        class that does not occur);
      - `accuracy_low` and `accuracy_high`, the 95 % confidence bounds
        (`components.intervals`);
      - `confusion_matrix`, counts as [actual][predicted] in the order of
        `features.POSTURES`;
      - `baseline_accuracy`, and `accuracy_difference`, the candidate's accuracy less
        the baseline's, with the bounds `accuracy_difference_low` and
        `accuracy_difference_high`: None without a baseline, the bounds also with fewer
        than two clips and where both models are right and wrong on the same images;
      - `coverage`, the share of images that the model is not unsure about, and
        `selective_accuracy`, the accuracy among those: None if it is unsure of all; both
        None for a model that does not say so.
    """
    import tensorflow_model_analysis as tfma

    results = {
        _slice_key(message.slice_key): _slice_metrics(message)
        for message in tfma.load_metrics(evaluation_uri)
    }
    return {key: results[key] for key in sorted(results, key=_position)}


def read_metrics(evaluation_uri: str) -> dict[str, dict[str, Any]]:
    """Reads the same by slice name: `overall`, `tranche=1`, `tranche=1, primary_posture=Lying`."""
    return {slice_name(key): metrics for key, metrics in read_slices(evaluation_uri).items()}


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
            else "There was no image in the test split to measure accuracy and coverage on."
        )
    return ordered


def _position(key: SliceKey) -> tuple[Any, ...]:
    """Where a slice stands among the others: by labels first, few columns first."""
    columns = [column for column, _ in key]
    by_quality = any(column in features.QUALITIES for column in columns)
    values = [
        (features.QUALITY_VALUES[column].index(value) if by_quality else 0, value)
        for column, value in key
    ]
    return by_quality, len(key), [_COLUMNS.index(column) for column in columns], values


def slice_name(key: SliceKey) -> str:
    """Names a slice, given as pairs of column and value, the way `read_metrics` does."""
    return ", ".join(f"{column}={value}" for column, value in key) or OVERALL


def _failure_sentence(key: SliceKey, count: int | None, failure: Any) -> str:
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
    if failure.metric_key.name == "coverage":
        return (
            f"The model is sure of {shown}{images} {place}, below the coverage floor of"
            f" {shown_floor}."
        )
    return f"Accuracy {place} is {shown}{images}, below the floor of {shown_floor}."


def _place(key: SliceKey) -> str:
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


def _slice_key(message: Any) -> SliceKey:
    pairs = []
    for single in message.single_slice_keys:
        kind = single.WhichOneof("kind")
        value = getattr(single, kind)
        pairs.append((single.column, value.decode() if isinstance(value, bytes) else str(value)))
    # TFMA sorts the columns of a slice by name; the order of the label tables reads better.
    return tuple(sorted(pairs, key=lambda pair: _COLUMNS.index(pair[0])))


def _slice_metrics(message: Any) -> dict[str, Any]:
    metrics: dict[str, Any] = dict.fromkeys(_NOT_ALWAYS_THERE)
    for item in message.metric_keys_and_values:
        name = item.key.name
        if name in _ENDS:
            metrics[name] = _number(item.value)
        if item.key.is_diff or item.key.model_name == _BASELINE:
            if name == "accuracy":
                difference = "accuracy_difference" if item.key.is_diff else "baseline_accuracy"
                metrics[difference] = _number(item.value)
            continue
        if name == _CONFUSION_MATRIX:
            metrics["confusion_matrix"] = _confusion_matrix(item.value)
        elif name in _VALUES_BY_CLASS:
            posture = features.POSTURES[item.key.sub_key.class_id.value]
            metrics[f"{_VALUES_BY_CLASS[name]}/{posture}"] = _number(item.value)
        elif name in _SINGLE_VALUES:
            metrics[name] = _number(item.value)
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
