"""TrancheExampleGen: imports TFRecords and splits them by clip.

It is TFX's ImportExampleGen with one more rule: an image outside the configured selection goes
to the split `unselected`. No model is trained or judged on it, but statistics count it, and a
model can label it later.
"""

import bisect
import hashlib
import itertools
import os
from collections.abc import Sequence
from typing import Any, Final

import apache_beam as beam
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx import types
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from schema import features

SHARD_PATTERN: Final = "*/images-*.tfrecord.gz"
# As TFX's ExampleGens name what they write.
FILE_PREFIX: Final = "data_tfrecord"
FILE_FORMAT: Final = "tfrecords_gzip"


def split_of_clip(clip: bytes, shares: Sequence[int]) -> int:
    """Chooses the split of a clip.

    It depends on the clip's name alone, so a clip that a model was judged on is never trained
    on when later tranches arrive.

    Args:
      clip: the clip's name.
      shares: hash buckets of each split, in order.

    Returns:
      The index of the split.
    """
    limits = list(itertools.accumulate(shares))
    bucket = int(hashlib.sha256(clip).hexdigest(), 16) % limits[-1]
    return bisect.bisect(limits, bucket)


def is_test_clip(clip: str, shares: dict[str, int]) -> bool:
    """Whether a clip is in the test split, given the shares of the splits."""
    names = list(shares)
    return names[split_of_clip(clip.encode(), list(shares.values()))] == features.TEST


def _text(example: tf.train.Example, name: str) -> bytes:
    values = example.features.feature[name].bytes_list.value
    return values[0] if values else b""


def partition(
    record: bytes,
    partitions: int,
    shares: Sequence[int],
    clip_feature: str,
    selection: str,
) -> int:
    """Chooses the split of a record; the last one is for images outside the selection.

    Args:
      record: a serialized tf.Example.
      partitions: number of splits.
      shares: hash buckets of each split but the last.
      clip_feature: the feature whose values stay together in one split.
      selection: which images may be trained and judged on.

    Returns:
      The index of the split.
    """
    example = tf.train.Example.FromString(record)
    posture, how_many, occluded = (
        _text(example, name).decode(errors="replace")
        for name in (features.POSTURE, features.HOW_MANY, features.OCCLUDED)
    )
    if not features.is_selected(selection, posture, how_many, occluded):
        return partitions - 1
    return split_of_clip(_text(example, clip_feature), shares)


class TrancheExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Splits by clip and by selection.

    TFX's executor also shuffles. For that, a local Beam runner needs memory of several times
    the size of all images. Here each image goes straight from its TFRecord to its split; the
    Trainer shuffles.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the TFRecords and writes the splits; see TFX's BaseExampleGenExecutor."""
        self._log_startup(input_dict, output_dict, exec_properties)
        output = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], example_gen_pb2.Output()
        )
        custom = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY],
            example_gen_pb2.CustomConfig(),
        )
        settings = struct_pb2.Struct()
        custom.custom_config.Unpack(settings)
        *selected, _ = output.split_config.splits
        names = [split.name for split in output.split_config.splits]

        artifacts = output_dict[standard_component_specs.EXAMPLES_KEY]
        examples = artifact_utils.get_single_instance(artifacts)
        examples.split_names = artifact_utils.encode_split_names(names)
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, FILE_FORMAT)

        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        with self._make_beam_pipeline() as pipeline:
            parts = (
                pipeline
                | "Read" >> beam.io.ReadFromTFRecord(os.path.join(base, SHARD_PATTERN))
                | "Split"
                >> beam.Partition(
                    partition,
                    len(names),
                    [split.hash_buckets for split in selected],
                    output.split_config.partition_feature_name,
                    settings["selection"],
                )
            )
            for name, part in zip(names, parts, strict=True):
                prefix = os.path.join(artifact_utils.get_split_uri(artifacts, name), FILE_PREFIX)
                _ = part | f"Write[{name}]" >> beam.io.WriteToTFRecord(
                    prefix, file_name_suffix=".gz"
                )


class TrancheExampleGen(FileBasedExampleGen):
    """Imports the TFRecords of all tranches, split by clip.

    Args:
      input_base: folder with one folder of TFRecords for each tranche.
      shares: hash buckets of train, eval and test.
      selection: which images may be trained and judged on (`schema.features`).
      code_digest: digest of this module; part of the cache key.
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
            custom_executor_spec=executor_spec.BeamExecutorSpec(TrancheExampleGenExecutor),
        )
