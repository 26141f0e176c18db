"""StatisticsGen that reads pictures in small batches.

In TFX's executor Beam chooses the size of batches by time, up to 1,000 records, and TFDV gathers
as many again in each of the 128 accumulators of a slice. That is fast for numbers, but with
pictures it holds all of them in memory.
"""

import os
from typing import Any, Final

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import components, types
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.components.util import tfxio_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_component_specs
from tfx_bsl.public.proto import slicing_spec_pb2

from schema import features

# Records read at once: about 4 MB of pictures at the default ingestion size.
BATCH_SIZE: Final = 64


def stats_options() -> tfdv.StatsOptions:
    """Options to count every feature, over all examples and by tranche."""
    # Without a schema TFDV counts the values of every bytes feature, so it would hold all pictures.
    picture = schema_pb2.Feature(
        name=features.IMAGE, type=schema_pb2.BYTES, image_domain=schema_pb2.ImageDomain()
    )
    return tfdv.StatsOptions(
        schema=schema_pb2.Schema(feature=[picture]),
        # File names are all different: exact counts of them would grow with the data.
        use_sketch_based_topk_uniques=True,
        slicing_config=slicing_spec_pb2.SlicingConfig(
            slicing_specs=[slicing_spec_pb2.SlicingSpec(feature_keys=[features.TRANCHE])]
        ),
        # Count each batch as it comes instead of gathering a larger one.
        desired_batch_size=1,
    )


class StatisticsGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Computes the statistics of each split, as TFX's executor does, batch by small batch."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the examples and writes statistics by split; see TFX's executor."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(
            input_dict[standard_component_specs.EXAMPLES_KEY]
        )
        outputs = output_dict[standard_component_specs.STATISTICS_KEY]
        splits = artifact_utils.decode_split_names(examples.split_names)
        statistics = artifact_utils.get_single_instance(outputs)
        statistics.split_names = artifact_utils.encode_split_names(splits)
        statistics.span = examples.span
        options = exec_properties[standard_component_specs.STATS_OPTIONS_JSON_KEY]
        with self._make_beam_pipeline() as pipeline:
            for split in splits:
                source = tfxio_utils.get_split_tfxio(
                    [examples], split, telemetry_descriptors=["StatisticsGen"]
                ).BeamSource(BATCH_SIZE)
                path = os.path.join(artifact_utils.get_split_uri(outputs, split), DEFAULT_FILE_NAME)
                _ = (
                    pipeline
                    | f"Read[{split}]" >> source
                    # A copy for each split, since GenerateStatistics changes it.
                    | f"Generate[{split}]"
                    >> tfdv.GenerateStatistics(tfdv.StatsOptions.from_json(options))
                    | f"Write[{split}]" >> tfdv.WriteStatisticsToBinaryFile(path)
                )


class StatisticsGen(components.StatisticsGen):
    """Statistics of each split of tf.Examples that hold pictures."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(StatisticsGenExecutor)

    def __init__(self, examples: types.BaseChannel, code_digest: str) -> None:
        """Counts `examples`; `code_digest`, of this module, is part of the cache key."""
        super().__init__(examples=examples, stats_options=stats_options())
        self.spec.exec_properties["code_digest"] = code_digest
