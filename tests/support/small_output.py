"""An output folder with a pushed model, made by a real pipeline in half a minute.

The model names the colour that a picture has most of: red sits, green stands, blue lies.
"""

import io
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tfx.components import StatisticsGen
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata, pipeline
from tfx.types import standard_artifacts

from components.examples import preprocessing
from components.serving.pusher import Pusher
from pipeline.beam import local_args
from pipeline.config import PipelineConfig
from pipeline.process import worker
from pipeline.runs import snapshot
from schema import features

SIZE = 32
FIT = "letterbox"
IMAGES = {features.TRAIN: 30, features.TEST: 21}


def record(index: int) -> bytes:
    """A serialized tf.Example: 60 x 40 pixels of noise that is mostly red, green or blue."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 120, (40, 60, 3), dtype=np.uint8)
    pixels[..., index % 3] += 100
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=95)
    posture = features.POSTURES[index % 3].encode()
    values = {features.IMAGE: jpeg.getvalue(), features.POSTURE: posture}
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write_split(folder: Path, count: int) -> None:
    """Writes a split in two files."""
    folder.mkdir(parents=True)
    for part in range(2):
        with tf.io.TFRecordWriter(str(folder / f"data-{part}.gz"), "GZIP") as writer:
            for index in range(part * count // 2, (part + 1) * count // 2):
                writer.write(record(index))


def colour_model(outlier: float) -> keras.Model:
    """Builds the model.

    Args:
      outlier: factor of a hidden unit that nothing depends on. The larger it is, the less of
        the others is left when all of them share one range of 256 integers.
    """
    hidden = keras.layers.Dense(4, name="hidden")
    answer = keras.layers.Dense(3, activation="softmax", name="probabilities")
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            hidden,
            answer,
        ]
    )
    spread = np.hstack([np.eye(3), np.full((3, 1), outlier)])
    hidden.set_weights([spread, np.zeros(4)])
    answer.set_weights([np.vstack([20 * np.eye(3), np.zeros((1, 3))]), np.zeros(3)])
    return model


class Served(tf.Module):
    """What `serving_examples` of the exported model does, without a Transform graph."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model

    def _picture(self, jpeg: tf.Tensor) -> tf.Tensor:
        return preprocessing.fit_image(preprocessing.decode_image(jpeg), SIZE, FIT)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}
        jpegs = tf.io.parse_example(examples, spec)[features.IMAGE]
        square = tf.TensorSpec([SIZE, SIZE, 3], tf.uint8)
        pictures = tf.map_fn(self._picture, jpegs, fn_output_signature=square)
        return {"probabilities": self.model(tf.cast(pictures, tf.float32), training=False)}


def save(model: keras.Model, folder: Path) -> None:
    """Writes the SavedModel."""
    served = Served(model)
    signatures = {"serving_examples": served.serve_examples}
    tf.saved_model.save(served, str(folder), signatures=signatures)


@component
def Generate(examples: OutputArtifact[standard_artifacts.Examples]) -> None:
    """Writes the splits."""
    for split, count in IMAGES.items():
        write_split(Path(examples.uri, f"Split-{split}"), count)
    examples.split_names = json.dumps(list(IMAGES))


@component
def Train(
    examples: InputArtifact[standard_artifacts.Examples],
    model: OutputArtifact[standard_artifacts.Model],
    model_run: OutputArtifact[standard_artifacts.ModelRun],
    outlier: Parameter[float],
) -> None:
    """Leaves what the Trainer leaves."""
    del examples
    built = colour_model(outlier)
    folder = Path(model_run.uri)
    folder.mkdir(parents=True, exist_ok=True)
    built.save(folder / "model.keras")
    history = {"settings": {"image_size": SIZE, "fit": FIT}}
    (folder / "history.json").write_text(json.dumps(history), encoding="utf-8")
    save(built, Path(model.uri, "Format-Serving"))
    model.set_string_custom_property("tfx_version", "1.16.0")


@component
def Bless(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    serves: OutputArtifact[standard_artifacts.InfraBlessing],
) -> None:
    """Blesses as both gates do."""
    del model
    for each in (blessing, serves):
        each.set_int_custom_property("blessed", 1)


def run(root: Path, outlier: float) -> None:
    """Runs it.

    Args:
      root: the output folder.
      outlier: see `colour_model`.
    """
    config = PipelineConfig(output_root=root)
    snapshot.begin("r1", config, 0.0)
    generate = Generate().with_id("TrancheExampleGen")
    examples = generate.outputs["examples"]
    trainer = Train(examples=examples, outlier=outlier).with_id("Trainer")
    gates = Bless(model=trainer.outputs["model"]).with_id("Gates")
    failure = worker.run_pipeline(
        pipeline.Pipeline(
            pipeline_name=config.pipeline_name,
            pipeline_root=str(config.pipeline_root),
            components=[
                generate,
                StatisticsGen(examples=examples),
                trainer,
                gates,
                Pusher(
                    model=trainer.outputs["model"],
                    model_blessing=gates.outputs["blessing"],
                    infra_blessing=gates.outputs["serves"],
                    serving_dir=str(config.serving_dir),
                    run_id="r1",
                ),
            ],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(config.metadata_path)
            ),
            beam_pipeline_args=local_args(),
        ),
        "r1",
    )
    assert not failure
