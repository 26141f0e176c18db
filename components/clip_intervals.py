"""How far accuracy may be off, where the frames of a clip are right or wrong together.

TFMA's own intervals draw images one by one, as if a clip's forty frames were forty patients:
they are too narrow, and drawn without a seed. These count clips, and draw nothing.
"""

import math
from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util

from schema import features

# What the metric's four numbers are called; the last two are there with a baseline only.
ACCURACY_LOW: Final = "accuracy_low"
ACCURACY_HIGH: Final = "accuracy_high"
DIFFERENCE_LOW: Final = "accuracy_difference_low"
DIFFERENCE_HIGH: Final = "accuracy_difference_high"

QUANTILE: Final = 1.959964  # of the normal distribution: 95 %, two-sided

Interval = tuple[float, float]
# By clip: images, right ones of the candidate, right ones of the baseline.
Counts = dict[bytes, npt.NDArray[np.float64]]


def accuracy_interval(images: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> Interval:
    """The 95 % interval of an accuracy, of the counts of clips.

    Wilson, "Probable Inference", JASA 1927, for as many images as the clips are worth if the
    frames of each are all right or all wrong: (sum of sizes)^2 / (sum of squared sizes),
    Kish's effective sample size ("Survey Sampling", 1965, section 8.2, with an intraclass
    correlation of 1). Where frames differ, the interval is wider than it had to be.

    Args:
      images: [clips], at least one in each.
      right: [clips], how many of them the model got right.

    Returns:
      Its ends, within 0 to 1; it has a width also where all images are right. NaN without
      clips.
    """
    if not len(images):
        return math.nan, math.nan
    share = right.sum() / images.sum()
    worth = images.sum() ** 2 / (images**2).sum()
    squared = QUANTILE**2
    middle = share + squared / (2 * worth)
    spread = QUANTILE * math.sqrt(share * (1 - share) / worth + squared / (4 * worth**2))
    scale = 1 + squared / worth
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def difference_interval(
    images: npt.NDArray[np.float64], gained: npt.NDArray[np.float64]
) -> Interval:
    """The 95 % interval of the difference of two models' accuracies on the same clips.

    The linearised variance of a ratio over clusters and Student's t with one degree of
    freedom less than there are clips (Cochran, "Sampling Techniques", 1977, section 9A.1).

    Args:
      images: [clips], at least one in each.
      gained: [clips], how many more the candidate got right than the baseline.

    Returns:
      Its ends, within -1 to 1; NaN where nothing can be said: below two clips, and where no
      clip differs from another.
    """
    clips = len(images)
    difference = gained.sum() / images.sum() if clips else math.nan
    rest = gained - difference * images
    if clips < 2 or not rest.any():
        return math.nan, math.nan
    # Not above: commands that only show what was computed would wait for it.
    from scipy import stats

    error = math.sqrt(clips / (clips - 1) * (rest**2).sum()) / images.sum()
    margin = float(stats.t.ppf(0.975, clips - 1)) * error
    return max(-1.0, difference - margin), min(1.0, difference + margin)


class AccuracyInterval(metric_types.Metric):
    """The 95 % intervals of the candidate's accuracy, and of what it gains on the baseline."""

    def __init__(self, name: str = "accuracy_interval") -> None:
        """Takes a name; the results have names of their own, see above."""
        super().__init__(_computations, name=name)


metric_types.register_metric(AccuracyInterval)


def _computations(
    name: str,
    eval_config: config_pb2.EvalConfig,
    model_names: Iterable[str] = ("",),
) -> metric_types.MetricComputations:
    baseline = model_util.get_baseline_model_spec(eval_config)
    baseline_name = baseline.name if baseline else None
    (candidate_name,) = (name for name in model_names if name != baseline_name)
    names = [(ACCURACY_LOW, False), (ACCURACY_HIGH, False)]
    if baseline_name is not None:
        names += [(DIFFERENCE_LOW, True), (DIFFERENCE_HIGH, True)]
    keys = [
        metric_types.MetricKey(name=each, model_name=candidate_name, is_diff=is_difference)
        for each, is_difference in names
    ]
    return [
        metric_types.MetricComputation(
            keys=keys,
            preprocessors=[metric_types.FeaturePreprocessor([features.CLIP])],
            combiner=_ClipCombiner(keys, eval_config, candidate_name, baseline_name),
        )
    ]


class _ClipCombiner(beam.CombineFn):
    """Counts each clip's images and right answers, and makes the intervals of them."""

    def __init__(
        self,
        keys: list[metric_types.MetricKey],
        eval_config: config_pb2.EvalConfig,
        candidate: str,
        baseline: str | None,
    ) -> None:
        self._keys = keys
        self._eval_config = eval_config
        self._models = [candidate] if baseline is None else [candidate, baseline]

    def create_accumulator(self) -> Counts:
        return {}

    def add_input(self, accumulator: Counts, element: metric_types.StandardMetricInputs) -> Counts:
        counts = [1.0, 0.0, 0.0]
        for place, model in enumerate(self._models, start=1):
            label, prediction, _ = next(
                metric_util.to_label_prediction_example_weight(
                    element, eval_config=self._eval_config, model_name=model, flatten=False
                )
            )
            counts[place] = float(np.argmax(prediction) == label.item())
        return _added(accumulator, _clip(element), np.array(counts))

    def merge_accumulators(self, accumulators: Iterable[Counts]) -> Counts:
        merged = self.create_accumulator()
        for accumulator in accumulators:
            for clip, counts in accumulator.items():
                _added(merged, clip, counts)
        return merged

    def extract_output(self, accumulator: Counts) -> metric_types.MetricsDict:
        images, right, before = np.array([*accumulator.values()]).reshape(-1, 3).T
        ends = accuracy_interval(images, right) + difference_interval(images, right - before)
        return dict(zip(self._keys, ends, strict=False))


def _added(counts: Counts, clip: bytes, more: npt.NDArray[np.float64]) -> Counts:
    counts[clip] = counts[clip] + more if clip in counts else more
    return counts


def _clip(element: metric_types.StandardMetricInputs) -> bytes:
    value: Any = np.asarray(element.features[features.CLIP]).ravel()[0]
    return value if isinstance(value, bytes) else str(value).encode()
