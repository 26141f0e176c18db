"""Latency and throughput of the exported model, on the server's side and on a device's.

    python -m benchmarks.serving [--data ../shared/data] [--record]

The real photos go through `serving_default` of a SavedModel of MobileNetV2 at alpha 1.0 and the
default size. The baseline of the same run does its parts one after the other: a bare
`tf.function` that decodes and fits the same bytes, and one that calls the Keras model on what
came out. The TFLite models get the fitted pictures, which is their input. The head is
untrained: what the model says does not matter here.

`serving_default` and its parts take turns, so that whatever else the machine does slows them all
alike. The TFLite models come after them, one by one: their threads go on spinning for a while, at
the cost of whoever is next. On 2 cores the whole takes a few minutes.
"""

import itertools
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it at import

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from rich.console import Console
from rich.table import Table
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from benchmarks import figures, goals
from components.examples import preprocessing
from components.serving.tflite import check, convert
from components.training import network, signatures
from pipeline.config import PipelineConfig
from schema import features

WEIGHTS: Final = "weights/mobilenet_v2_1.0_224_no_top.dequantised.h5"
PHOTOS: Final = 64
CALIBRATION: Final = 16  # pictures; enough for a model that only has to be timed
SERVING: Final = "serving_default"
DECODE: Final = "bare decode and fit"
KERAS: Final = "bare Keras model"
BATCHES: Final = (1, 32)
CALLS: Final = {1: 150, 32: 20}  # by size of the batch
GOAL: Final = 1.15  # serving_default, in times of its parts


@dataclass(frozen=True)
class Way:
    """One way of getting answers.

    Attributes:
      name: as the table has it.
      batch: pictures in a call.
      call: makes one call.
    """

    name: str
    batch: int
    call: Callable[[], Any]


def photos(data: Path, count: int) -> list[bytes]:
    """Reads encoded photos as a client sends them, from all over the tranches."""
    found = [
        archive.read(name)
        for path in sorted((data / "tranches").glob("*.zip"))
        for archive in [zipfile.ZipFile(path)]
        for name in sorted(archive.namelist())
        if not name.endswith("/")
    ]
    return [found[index * len(found) // count] for index in range(count)]


def transform_graph(jpegs: Sequence[bytes], config: PipelineConfig, folder: Path) -> Path:
    """Runs the real Transform over a few pictures, since the export has its graph inside."""
    rows: list[dict[str, list[Any]]] = [
        {
            features.IMAGE: [jpeg],
            features.CLIP: [b"clip"],
            features.FILE_NAME: [b"%d.jpg" % index],
            features.POSTURE: [features.POSTURES[index % len(features.POSTURES)].encode()],
            features.WIDTH: [640],
            features.HEIGHT: [480],
            **{measure: [float(index)] for measure in features.MEASURES},
        }
        for index, jpeg in enumerate(jpegs)
    ]
    kinds = {bytes: tf.string, int: tf.int64, float: tf.float32}
    spec = {name: tf.io.FixedLenFeature([1], kinds[type(rows[0][name][0])]) for name in rows[0]}
    raw = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    settings = {"image_size": config.image_size, "fit": config.fit}
    graph = folder / "graph"
    with tft_beam.Context(temp_dir=str(folder / "scratch")):
        _, function = (rows, raw) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing.preprocessing_fn(inputs, settings)
        )
        with beam.Pipeline():
            _ = function | tft_beam.WriteTransformFn(str(graph))
    metadata_io.write_metadata(raw, str(graph / tft.TFTransformOutput.RAW_METADATA_DIR))
    return graph


def ways(data: Path, folder: Path) -> list[list[Way]]:
    """Builds everything that is timed.

    Args:
      data: the real data.
      folder: for what is built.

    Returns:
      Groups that take turns: for each size of a batch `serving_default` and its parts; then
      each TFLite model.
    """
    config = PipelineConfig()
    size, fit, ingest_size = config.image_size, config.fit, config.ingest_size
    jpegs = photos(data, PHOTOS)
    weights = data / WEIGHTS
    keras_model = network.build_model(
        size, config.alpha, str(weights) if weights.is_file() else "none"
    )
    graph = transform_graph(jpegs[:3], config, folder)
    module = signatures.ServingModule(
        keras_model, tft.TFTransformOutput(str(graph)), ingest_size, size, fit, threshold=0.5
    )
    signatures.export(module, str(folder / "model"))
    loaded = tf.saved_model.load(str(folder / "model"))
    serve = loaded.signatures["serving_default"]
    serve.model = loaded  # a signature dies with its model

    def picture(encoded: tf.Tensor) -> tf.Tensor:
        image = preprocessing.scale_down(preprocessing.decode_image(encoded), ingest_size)
        return preprocessing.fit_image(image, size, fit)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            picture, encoded, fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8)
        )

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)])
    def bare(pictures: tf.Tensor) -> tf.Tensor:
        return keras_model(pictures, training=False)

    fitted = decode(tf.constant(jpegs))
    groups = []
    for batch in BATCHES:
        # Each call gets the next photos, the same ones for each way.
        encoded = [tf.constant(jpegs[at : at + batch]) for at in range(0, len(jpegs), batch)]
        pictures = [tf.cast(fitted[at : at + batch], tf.float32) for at in range(0, PHOTOS, batch)]
        groups.append(
            [
                Way(SERVING, batch, _in_turn(lambda some: serve(image_bytes=some), encoded)),
                Way(DECODE, batch, _in_turn(decode, encoded)),
                Way(KERAS, batch, _in_turn(bare, pictures)),
            ]
        )
    cores = len(os.sched_getaffinity(0))
    for name, content in (
        ("float16", convert.float16(keras_model)),
        ("int8", convert.int8(keras_model, lambda: fitted.numpy()[:CALIBRATION])),
    ):
        for threads in sorted({1, cores}):
            device = check.Device(content, threads)
            label = f"TFLite {name}, {threads} thread{'s' if threads > 1 else ''}"
            groups.append([Way(label, 1, _in_turn(device, list(fitted.numpy())))])
    return groups


def _in_turn(call: Callable[[Any], Any], inputs: Sequence[Any]) -> Callable[[], Any]:
    turn = itertools.cycle(inputs)
    return lambda: call(next(turn))


def measure(group: Sequence[Way]) -> list[np.ndarray]:
    """Times ways by turns, after a call of each that does not count.

    Args:
      group: with the same size of a batch.

    Returns:
      Milliseconds of each call, float64 [calls], by way.
    """
    times: list[list[float]] = [[] for _ in group]
    for _ in range(1 + CALLS[group[0].batch]):
        for way, own in zip(group, times, strict=True):
            started = time.perf_counter()
            way.call()
            own.append((time.perf_counter() - started) * 1000)
    return [np.array(own[1:]) for own in times]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and the goals."""
    parser = figures.parser(__doc__)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        groups = ways(given.data, Path(folder))
        times = [measure(group) for group in groups]
    table = Table("way", "batch", "p50, ms", "p99, ms", "pictures/s")
    middle = {}
    recorded: dict[str, dict[str, float]] = {}
    everything = zip(itertools.chain(*groups), itertools.chain(*times), strict=True)
    for way, own in everything:
        p50, p99 = np.percentile(own, (50, 99))
        middle[way.name, way.batch] = p50
        rate = 1000 * way.batch / own.mean()
        table.add_row(way.name, str(way.batch), f"{p50:.1f}", f"{p99:.1f}", f"{rate:.0f}")
        recorded[f"{way.name}, batch {way.batch}"] = {
            "p50_ms": p50,
            "p99_ms": p99,
            "pictures_a_second": rate,
        }
    Console().print(table)
    reached = [
        goals.Goal.at_most(
            f"p50 of serving_default in times of its parts, batch {batch}",
            round(middle[SERVING, batch] / (middle[DECODE, batch] + middle[KERAS, batch]), 3),
            GOAL,
        )
        for batch in BATCHES
    ]
    goals.show(reached)
    if given.record:
        ratios = zip(BATCHES, (goal.value for goal in reached), strict=True)
        recorded["times_parts"] = {f"batch {batch}": ratio for batch, ratio in ratios}
        figures.record("serving", recorded)


if __name__ == "__main__":
    main()
