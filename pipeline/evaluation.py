"""How the Evaluator judges a model: slices, metrics, thresholds and batch size.

The pipeline passes `eval_config` to the Evaluator, and this module as its `module_path`,
so that TFX finds `custom_extractors` here.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from google.protobuf.wrappers_pb2 import BoolValue, DoubleValue
from tensorflow_model_analysis.proto import config_pb2

from components.judging import metrics
from pipeline.config import PipelineConfig
from schema import features, slices

# Images that go through the model at once. The activations of MobileNetV2 take about
# 30 MB an image at 320 px. TFMA's batches grow up to 1,000, so that only large splits
# would fill larger ones, and memory would grow with the split; eight are as fast as sixteen.
BATCH_SIZE: Final = 8

# A share that is just the floor may round to less.
_ROUNDING: Final = 1e-9


def eval_config(config: PipelineConfig) -> tfma.EvalConfig:
    """Says what the Evaluator computes and when it blesses.

    A model is blessed when accuracy on the whole test split reaches
    `accuracy_floor`, accuracy in each tranche reaches `tranche_accuracy_floor`, and
    the share of the whole test split that the model is sure of reaches `coverage_floor`.
    The rest of the plan is the AcceptanceGate's.

    Args:
      config: the settings of the run.

    Returns:
      The configuration of the Evaluator, for a model with the signatures
      `serving_examples` and `transform_features`.
    """
    asked = config.acceptance
    overall = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec()],
        threshold=config_pb2.MetricThreshold(value_threshold=_at_least(asked.accuracy_floor)),
    )
    each_tranche = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=[features.TRANCHE])],
        threshold=config_pb2.MetricThreshold(
            value_threshold=_at_least(asked.tranche_accuracy_floor)
        ),
    )
    coverage = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec()],
        threshold=config_pb2.MetricThreshold(value_threshold=_at_least(asked.coverage_floor)),
    )
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="serving_examples",
                label_key=features.LABEL,
                # Our own metrics read the model's other outputs.
                prediction_key="probabilities",
                preprocessing_function_names=["transform_features"],
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=keys) for keys in slices.COLUMNS],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    _metric("ExampleCount"),
                    _own_metric(metrics.Accuracy, overall, each_tranche),
                    _own_metric(metrics.AccuracyInterval),
                    _own_metric(metrics.Coverage, coverage),
                    _own_metric(metrics.SelectiveAccuracy),
                    _own_metric(metrics.MacroF1),
                    _own_metric(metrics.CrossEntropy),
                    _own_metric(metrics.ExpectedCalibrationError),
                    # At TFMA's default of 0.5 an unconfident prediction counts as none.
                    _metric("MultiClassConfusionMatrixAtThresholds", thresholds=[0.0]),
                ]
            ),
            config_pb2.MetricsSpec(
                # top_k=1 counts the top label as predicted, whatever its probability. Without
                # the threshold TFMA 0.47 counts the opposite in a slice where a class is
                # never on top.
                metrics=[
                    _metric(name, top_k=1, thresholds=[0.0])
                    for name in ("Precision", "Recall", "F1Score")
                ],
                binarize=config_pb2.BinarizationOptions(
                    class_ids=config_pb2.RepeatedInt32Value(values=range(len(features.POSTURES)))
                ),
            ),
        ],
        options=config_pb2.Options(
            include_default_metrics=BoolValue(value=False),
            # TFMA's intervals treat images as independent; frames of a clip are not.
            compute_confidence_intervals=BoolValue(value=False),
        ),
    )


def custom_extractors(
    eval_shared_model: Any,
    eval_config: tfma.EvalConfig,
    tensor_adapter_config: Any,
) -> list[tfma.extractors.Extractor]:
    """Caps the batch size of TFMA's own extractors. The Evaluator calls it by name.

    Neither the Evaluator nor `EvalConfig` has a setting for it
    (`ModelSpec.inference_batch_size` is read by another extractor only).

    Args:
      eval_shared_model: the model.
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


def _metric(class_name: str, **arguments: Any) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(class_name=class_name, config=json.dumps(arguments))


def _own_metric(
    metric: type[tfma.metrics.Metric], *thresholds: config_pb2.PerSliceMetricThreshold
) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(
        class_name=metric.__name__,
        module=metric.__module__,
        # The list, not `threshold`, which would hold in every slice.
        per_slice_thresholds=thresholds,
    )


def _at_least(floor: float) -> config_pb2.GenericValueThreshold:
    return config_pb2.GenericValueThreshold(lower_bound=DoubleValue(value=floor - _ROUNDING))
