"""Small Beam pipelines with known answers, to be run on an engine and compared.

    python -c "from tests.cluster import conformance; conformance.main()" FOLDER BEAM-OPTION...

writes the results by pipeline to FOLDER/results.json. The state DONE proves nothing: an
engine may drop what `finish_bundle` emits, or write one of two sinks, and still report DONE.
"""

import glob
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.windowed_value import WindowedValue
from google.protobuf import json_format
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx_bsl.tfxio import tf_example_record

EXAMPLES = 600
LABELS = ("Sitting", "Standing", "Lying")
SCHEMA = {
    "x": tf.io.FixedLenFeature([], tf.float32),
    "label": tf.io.FixedLenFeature([], tf.string),
}


def example(i: int) -> dict[str, Any]:
    return {"x": float(i * i % 97), "label": LABELS[i * 7 % 3].encode()}


def serialized(i: int) -> bytes:
    values = example(i)
    posture, guess = i * 7 % 3, i % 3
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=[values["x"]])),
                "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[values["label"]])),
                "posture": tf.train.Feature(float_list=tf.train.FloatList(value=[posture])),
                "guess": tf.train.Feature(float_list=tf.train.FloatList(value=[guess])),
            }
        )
    ).SerializeToString()


class BundleSums(beam.DoFn):
    """Emits only in finish_bundle."""

    def start_bundle(self) -> None:
        self.total = 0

    def process(self, number: int) -> None:
        self.total += number

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield beam.transforms.window.GlobalWindows.windowed_value(self.total)


class Batches(beam.DoFn):
    """Tells Beam's metrics what it processes."""

    def __init__(self) -> None:
        self.sizes = Metrics.distribution("conformance", "sizes")

    def process(self, batch: list[int]) -> Iterator[int]:
        self.sizes.update(len(batch))
        yield from batch


def tagged(number: int) -> Iterator[Any]:
    yield beam.pvalue.TaggedOutput("odd" if number % 2 else "even", number)


def with_side_inputs(number: int, factor: int, table: dict[int, int], rest: list[int]) -> int:
    return number * factor + table[number % 5] + len(rest)


def to_pair(number: int) -> tuple[str, int]:
    return LABELS[number % 3], number


def total_of(pair: tuple[str, Any]) -> tuple[str, int, int]:
    return pair[0], len(list(pair[1])), sum(pair[1])


def to_lines(value: Any) -> str:
    return json.dumps(value)


Numbers = beam.PCollection


class Harness:
    """Builds one pipeline, runs it, and reads its sinks."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.folder, self.arguments = folder, arguments

    def run(self, name: str, build: Callable[[Numbers], dict[str, beam.PCollection]]) -> Any:
        pipeline = beam.Pipeline(options=PipelineOptions(self.arguments))
        numbers = pipeline | beam.Create(range(EXAMPLES)) | beam.Reshuffle()
        for sink, values in build(numbers).items():
            _ = (
                values
                | f"Lines{sink}" >> beam.Map(to_lines)
                | f"Write{sink}" >> beam.io.WriteToText(str(self.folder / name / sink))
            )
        result = pipeline.run()
        result.wait_until_finish()
        written = {}
        for path in sorted(glob.glob(str(self.folder / name / "*"))):
            sink = os.path.basename(path).partition("-")[0]
            lines = Path(path).read_text().splitlines()
            written.setdefault(sink, []).extend(json.loads(line) for line in lines)
        query = result.metrics().query(MetricsFilter().with_namespace("conformance"))
        self.sizes = [found.committed.sum for found in query["distributions"]]
        return {sink: sorted(values, key=json.dumps) for sink, values in written.items()}


def finish_bundle(harness: Harness) -> Any:
    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        return {"sum": numbers | beam.ParDo(BundleSums()) | beam.CombineGlobally(sum)}

    return harness.run("finish_bundle", build)


def batching(harness: Harness) -> Any:
    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        return {"n": numbers | beam.BatchElements(7, 7) | beam.ParDo(Batches())}

    return harness.run("batching", build) | {"sum of sizes": harness.sizes}


def tags_and_two_sinks(harness: Harness) -> Any:
    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        both = numbers | beam.FlatMap(tagged).with_outputs("odd", "even")
        return {"odd": both.odd, "even": both.even}

    return harness.run("tags_and_two_sinks", build)


def side_inputs(harness: Harness) -> Any:
    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        factor = numbers | beam.combiners.Count.Globally()
        table = numbers | "Five" >> beam.Filter(lambda n: n < 5) | beam.Map(lambda n: (n, n * n))
        return {
            "n": numbers
            | "Sides"
            >> beam.Map(
                with_side_inputs,
                beam.pvalue.AsSingleton(factor),
                beam.pvalue.AsDict(table),
                beam.pvalue.AsList(numbers),
            )
        }

    return harness.run("side_inputs", build)


def combines(harness: Harness) -> Any:
    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        pairs = numbers | beam.Map(to_pair)
        return {
            "mean": pairs | "Mean" >> beam.combiners.Mean.PerKey(),
            "top": numbers | beam.combiners.Top.Largest(5),
            "count": pairs | "Count" >> beam.combiners.Count.PerKey(),
        }

    return harness.run("combines", build)


def group_by_key(harness: Harness) -> Any:
    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        return {
            "n": numbers | beam.Map(to_pair) | beam.GroupByKey() | "Total" >> beam.Map(total_of)
        }

    return harness.run("group_by_key", build)


def tfrecords(harness: Harness) -> Any:
    place = harness.folder / "tfrecords"
    place.mkdir()
    with beam.Pipeline(options=PipelineOptions(harness.arguments)) as pipeline:
        _ = (
            pipeline
            | beam.Create(range(EXAMPLES))
            | beam.Reshuffle()
            | beam.Map(serialized)
            | beam.io.WriteToTFRecord(str(place / "data"), file_name_suffix=".gz")
        )
    back = Harness(harness.folder, harness.arguments)
    pattern = str(place / "data*.gz")

    def build(numbers: Numbers) -> dict[str, beam.PCollection]:
        read = numbers.pipeline | beam.io.ReadFromTFRecord(pattern)
        return {"sizes": read | beam.Map(len) | beam.combiners.Count.PerElement()}

    records = sorted(
        record.numpy()
        for path in glob.glob(pattern)
        for record in tf.data.TFRecordDataset(path, compression_type="GZIP")
    )
    assert records == sorted(map(serialized, range(EXAMPLES)))
    return back.run("tfrecords_read", build)


def statistics(harness: Harness) -> Any:
    records = _records(harness, "statistics")
    found = tfdv.generate_statistics_from_tfrecord(
        str(records), pipeline_options=PipelineOptions(harness.arguments)
    )
    for dataset in found.datasets:  # whose order depends on the order of merging
        dataset.features.sort(key=lambda feature: list(feature.path.step))
    return json_format.MessageToDict(found)


def preprocessing(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {
        "scaled": tft.scale_to_z_score(inputs["x"]),
        "bucket": tft.bucketize(inputs["x"], 4),
        "label": tft.compute_and_apply_vocabulary(inputs["label"], vocab_filename="labels"),
    }


def transform(harness: Harness) -> Any:
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(SCHEMA))
    place = harness.folder / "transform"
    with (
        beam.Pipeline(options=PipelineOptions(harness.arguments)) as pipeline,
        tft_beam.Context(temp_dir=str(harness.folder / "temporary")),
    ):
        rows = pipeline | beam.Create(range(EXAMPLES)) | beam.Reshuffle() | beam.Map(example)
        function = (rows, metadata) | tft_beam.AnalyzeDataset(preprocessing)
        _ = function | tft_beam.WriteTransformFn(str(place))
    output = tft.TFTransformOutput(str(place))
    inputs = {
        "x": tf.constant([example(i)["x"] for i in range(40)]),
        "label": tf.constant([example(i)["label"] for i in range(40)]),
    }
    made = output.transform_raw_features(inputs)
    return {
        "vocabulary": [word.decode() for word in output.vocabulary_by_name("labels")],
        **{name: tensor.numpy().tolist() for name, tensor in made.items()},
    }


def evaluation(harness: Harness) -> Any:
    records = _records(harness, "evaluation")
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="posture", prediction_key="guess")],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["label"])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(class_name="MeanPrediction"),
                    tfma.MetricConfig(class_name="MeanLabel"),
                ]
            )
        ],
    )
    place = harness.folder / "evaluation_result"
    with beam.Pipeline(options=PipelineOptions(harness.arguments)) as pipeline:
        _ = (
            pipeline
            | tf_example_record.TFExampleRecord(
                str(records), raw_record_column_name=tfma.ARROW_INPUT_COLUMN
            ).BeamSource()
            | tfma.ExtractEvaluateAndWriteResults(eval_config=config, output_path=str(place))
        )
    result = tfma.load_eval_result(str(place))
    return {
        json.dumps(key): {name: value for name, value in metrics[""][""].items()}
        for key, metrics in sorted(result.slicing_metrics, key=lambda item: json.dumps(item[0]))
    }


def _records(harness: Harness, name: str) -> Path:
    harness.folder.mkdir(exist_ok=True)
    path = harness.folder / f"{name}.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(EXAMPLES):
            writer.write(serialized(i))
    return path


PIPELINES: list[Callable[[Harness], Any]] = [
    finish_bundle,
    batching,
    tags_and_two_sinks,
    side_inputs,
    combines,
    group_by_key,
    tfrecords,
    statistics,
    transform,
    evaluation,
]


def main() -> None:
    """Runs all of them on one engine."""
    # An engine's workers get the project on their path, not the tests.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder, *arguments = sys.argv[1:]
    harness = Harness(Path(folder), arguments)
    harness.folder.mkdir(parents=True)
    results = {pipeline.__name__: pipeline(harness) for pipeline in PIPELINES}
    (harness.folder / "results.json").write_text(json.dumps(results, indent=1, sort_keys=True))
