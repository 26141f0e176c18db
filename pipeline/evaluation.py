"""How the Evaluator judges a model: slices, metrics, thresholds, and the size of its batches.

The pipeline passes `eval_config` to the Evaluator, and this module as its
`module_path`, so that TFX finds `custom_extractors` here.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from google.protobuf.wrappers_pb2 import BoolValue, DoubleValue
from tensorflow_model_analysis.proto import config_pb2

from pipeline.config import PipelineConfig
from schema import features

ACCURACY: Final = "sparse_categorical_accuracy"
CROSS_ENTROPY: Final = "sparse_categorical_crossentropy"

# What accuracy is looked at by; the empty tuple is the whole test split.
SLICES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    (features.TRANCHE,),
    (features.OCCLUDED,),
    (features.HOW_MANY,),
    (features.PERSON_TYPE,),
    (features.POSTURE,),
    (features.TRANCHE, features.POSTURE),
)

# Images that go through the model at once. TFMA reads in batches that grow up to
# 1,000; the activations of MobileNetV2 take about 15 MB an image at 224 px.
BATCH_SIZE: Final = 64

# Keras computes accuracy in float32, where 90 of 100 is a little less than 0.9.
_ROUNDING: Final = 1e-6


def eval_config(config: PipelineConfig) -> tfma.EvalConfig:
    """Says what the Evaluator computes and when it blesses.

    A model is blessed when accuracy on the whole test split reaches
    `accuracy_floor`, accuracy in each tranche reaches `tranche_accuracy_floor`,
    and accuracy overall is not below that of the last blessed model by more than
    `max_accuracy_drop`. Without a blessed model the Evaluator skips the last
    condition.

    Args:
      config: the settings of the run.

    Returns:
      The configuration of the Evaluator, for a model with the signatures
      `serving_examples` and `transform_features`.
    """
    overall = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec()],
        threshold=config_pb2.MetricThreshold(
            value_threshold=_at_least(config.accuracy_floor),
            change_threshold=config_pb2.GenericChangeThreshold(
                absolute=DoubleValue(value=-config.max_accuracy_drop - _ROUNDING),
                direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
            ),
        ),
    )
    each_tranche = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=[features.TRANCHE])],
        threshold=config_pb2.MetricThreshold(
            value_threshold=_at_least(config.tranche_accuracy_floor)
        ),
    )
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="serving_examples",
                label_key=features.LABEL,
                preprocessing_function_names=["transform_features"],
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=keys) for keys in SLICES],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    _metric("ExampleCount"),
                    config_pb2.MetricConfig(
                        class_name="SparseCategoricalAccuracy",
                        # The list, not `threshold`, which would hold in every slice.
                        per_slice_thresholds=[overall, each_tranche],
                    ),
                    _metric("SparseCategoricalCrossentropy"),
                    # At TFMA's default of 0.5 an unconfident prediction counts as none.
                    _metric("MultiClassConfusionMatrixAtThresholds", thresholds=[0.0]),
                    _metric("MacroF1", module="components.posture_metrics"),
                    _metric("ExpectedCalibrationError", module="components.posture_metrics"),
                ]
            ),
            config_pb2.MetricsSpec(
                # top_k=1 counts the top label as predicted, whatever its probability.
                metrics=[_metric(name, top_k=1) for name in ("Precision", "Recall", "F1Score")],
                binarize=config_pb2.BinarizationOptions(
                    class_ids=config_pb2.RepeatedInt32Value(values=range(len(features.POSTURES)))
                ),
            ),
        ],
        options=config_pb2.Options(
            include_default_metrics=BoolValue(value=False),
            compute_confidence_intervals=BoolValue(value=True),
            # The jackknife costs half of the bootstrap and gives the same widths. Both
            # take images as independent: the frames of one clip are not, so the true
            # intervals are wider. Read them as the least uncertainty there is.
            confidence_intervals=config_pb2.ConfidenceIntervalOptions(
                method=config_pb2.ConfidenceIntervalOptions.JACKKNIFE
            ),
        ),
    )


def custom_extractors(
    eval_shared_model: Any,
    eval_config: tfma.EvalConfig,
    tensor_adapter_config: Any,
) -> list[tfma.extractors.Extractor]:
    """Puts a cap on the batch size before TFMA's own extractors. The Evaluator calls it by name.

    Neither the Evaluator nor `EvalConfig` has a setting for it
    (`ModelSpec.inference_batch_size` is read by another extractor only).

    Args:
      eval_shared_model: the model, or candidate and baseline.
      eval_config: what `eval_config` returned, completed by TFX.
      tensor_adapter_config: how TFMA turns records into tensors, or None.

    Returns:
      The extractors, in order.
    """
    return [
        tfma.extractors.Extractor(
            stage_name="CapBatchSize", ptransform=beam.FlatMap(_split_batch, BATCH_SIZE)
        ),
        *tfma.default_extractors(
            eval_shared_model=eval_shared_model,
            eval_config=eval_config,
            tensor_adapter_config=tensor_adapter_config,
        ),
    ]


def _split_batch(extracts: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    batch: pa.RecordBatch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    for start in range(0, batch.num_rows, size):
        yield {**extracts, tfma.ARROW_RECORD_BATCH_KEY: batch.slice(start, size)}


def _metric(class_name: str, module: str = "", **arguments: Any) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(
        class_name=class_name, module=module, config=json.dumps(arguments)
    )


def _at_least(floor: float) -> config_pb2.GenericValueThreshold:
    return config_pb2.GenericValueThreshold(lower_bound=DoubleValue(value=floor - _ROUNDING))
