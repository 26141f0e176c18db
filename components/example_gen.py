"""TrancheExampleGen: TFRecords in, one honest split a clip out.

TFX's ImportExampleGen with one rule added: an image outside the configured
selection goes to a split of its own, so that nobody trains on it or is judged
by it, yet statistics count it and the model can label it later.
"""

import bisect
import hashlib
import itertools
from collections.abc import Sequence
from typing import Any, Final

import apache_beam as beam
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.example_gen.import_example_gen import executor as import_executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from schema import features

SHARD_PATTERN: Final = "*/images-*.tfrecord.gz"


def split_of_clip(clip: bytes, shares: Sequence[int]) -> int:
    """Says on which side of the split a clip lies, now and for ever.

    The side depends on the clip's name alone, so a clip that a blessed model was
    judged on is never trained on when later tranches arrive.

    Args:
      clip: the clip's name.
      shares: hash buckets of each side, in order.

    Returns:
      The index of the side.
    """
    limits = list(itertools.accumulate(shares))
    bucket = int(hashlib.sha256(clip).hexdigest(), 16) % limits[-1]
    return bisect.bisect(limits, bucket)


def _text(example: tf.train.Example, name: str) -> bytes:
    values = example.features.feature[name].bytes_list.value
    return values[0] if values else b""


def _partition(
    example: tf.train.Example,
    partitions: int,
    shares: Sequence[int],
    clip_feature: str,
    selection: str,
) -> int:
    posture, how_many, occluded = (
        _text(example, name).decode(errors="replace")
        for name in (features.POSTURE, features.HOW_MANY, features.OCCLUDED)
    )
    if not features.is_selected(selection, posture, how_many, occluded):
        return partitions - 1
    return split_of_clip(_text(example, clip_feature), shares)


class Executor(import_executor.Executor):
    """Splits by clip and sets images outside the selection apart."""

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Reads the TFRecords and partitions them; see the base class."""
        output = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], example_gen_pb2.Output()
        )
        custom = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY],
            example_gen_pb2.CustomConfig(),
        )
        settings = struct_pb2.Struct()
        custom.custom_config.Unpack(settings)
        *sides, _ = output.split_config.splits
        parts = (
            pipeline
            | "Read" >> self.GetInputSourceToExamplePTransform()(exec_properties, SHARD_PATTERN)
            | "Split"
            >> beam.Partition(
                _partition,
                len(sides) + 1,
                [side.hash_buckets for side in sides],
                output.split_config.partition_feature_name,
                settings["selection"],
            )
        )
        names = [split.name for split in output.split_config.splits]
        return dict(zip(names, parts, strict=True))


class TrancheExampleGen(FileBasedExampleGen):
    """Imports the TFRecords of all tranches, split by clip.

    Args:
      input_base: folder with one folder of TFRecords for each tranche.
      shares: hash buckets of train, eval and test.
      selection: which images may be trained and judged on (`schema.features`).
      code_digest: digest of the code that splits; part of the cache key.
    """

    def __init__(
        self, input_base: str, shares: dict[str, int], selection: str, code_digest: str
    ) -> None:
        Split = example_gen_pb2.SplitConfig.Split
        splits = [Split(name=name, hash_buckets=buckets) for name, buckets in shares.items()]
        # TFX wants a bucket for every split; the executor does not use this one.
        splits.append(Split(name=features.UNSELECTED, hash_buckets=1))
        settings = struct_pb2.Struct()
        settings.update({"selection": selection, "code_digest": code_digest})
        custom = example_gen_pb2.CustomConfig()
        custom.custom_config.Pack(settings)
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="tranches", pattern=SHARD_PATTERN)]
            ),
            output_config=example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(
                    splits=splits, partition_feature_name=features.CLIP
                )
            ),
            custom_config=custom,
            custom_executor_spec=executor_spec.BeamExecutorSpec(Executor),
        )
