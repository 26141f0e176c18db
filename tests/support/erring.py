"""A pipeline of the real nodes that decide, over models whose errors are known.

Nothing is learnt, so each model is right on all test images but as many as it is told.
"""

import json
from pathlib import Path

import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata, pipeline
from tfx.types import standard_artifacts

from components.examples.image_table import ImageTable
from components.judging.acceptance_gate import AcceptanceGate
from components.judging.acceptance_plan import AcceptancePlan
from components.judging.predictor import Predictor
from components.serving.baseline import compared_models
from components.serving.pusher import Pusher
from pipeline.beam import local_args
from pipeline.config import PipelineConfig
from pipeline.evaluation import BATCH_SIZE
from pipeline.process import worker
from pipeline.runs import snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.run import Run
from schema import features
from tests.support.blessing import Bless
from tests.support.examples import Row, write_split

IMAGES = 400  # of the test split; a clip each, so that a point is four images
TRANCHES = 2


class Erring(tf.Module):
    """Answers with the label, and with the next posture for the first images.

    Args:
      errors: how many images it is wrong about.
    """

    def __init__(self, errors: int) -> None:
        super().__init__()
        self._errors = tf.constant(errors, tf.int64)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """As the exported model's signature of that name."""
        kinds = {features.POSTURE: tf.string, features.WIDTH: tf.int64}
        parsed = tf.io.parse_example(
            examples, {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
        )
        known = parsed[features.POSTURE][:, tf.newaxis] == tf.constant(features.POSTURES)
        wrong = tf.cast(parsed[features.WIDTH] <= self._errors, tf.int64)
        answer = (tf.argmax(known, axis=1) + wrong) % len(features.POSTURES)
        return {
            "probabilities": tf.one_hot(answer, len(features.POSTURES)),
            features.UNSURE: tf.zeros_like(wrong, tf.bool),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """As the exported model's signature of that name; all images are alike."""
        usual = {name: values[-1] for name, values in features.QUALITY_VALUES.items()}
        return {name: tf.fill(tf.shape(examples), value) for name, value in usual.items()}


def row(number: int) -> Row:
    """An example, without its picture; its width is its number.

    Postures and tranches take turns, so that the errors of a model are spread over all slices.
    """
    return {
        **dict.fromkeys(features.EXAMPLE_COLUMNS, features.BLANK),
        features.FILE_NAME: f"{number:03}_cat-1_001.png",
        features.CLIP: f"{number:03}",
        features.TRANCHE: str(1 + number % TRANCHES),
        features.POSTURE: features.POSTURES[number % len(features.POSTURES)],
        features.WIDTH: number,
    }


@component
def Generate(examples: OutputArtifact[standard_artifacts.Examples]) -> None:
    """Writes the test split."""
    write_split(Path(examples.uri), features.TEST, [row(1 + at) for at in range(IMAGES)])
    examples.split_names = json.dumps([features.TEST])


@component
def Train(
    examples: InputArtifact[standard_artifacts.Examples],
    model: OutputArtifact[standard_artifacts.Model],
    errors: Parameter[int],
    run_id: Parameter[str],
) -> None:
    """Makes a model of its own in each run, whatever was made before."""
    del examples, run_id
    made = Erring(errors)
    signatures = {name: getattr(made, name) for name in ("serving_examples", "transform_features")}
    tf.saved_model.save(made, str(Path(model.uri, "Format-Serving")), signatures=signatures)
    model.set_string_custom_property("tfx_version", "1.16.0")


def run(config: PipelineConfig, run_id: str, errors: int) -> Run:
    """Runs it once, and reads what came of it.

    Args:
      config: its output folder and its acceptance plan.
      run_id: the run.
      errors: how many of the test images the candidate is wrong about.
    """
    snapshot.begin(run_id, config, 0.0)
    assert not worker.run_pipeline(_create(config, run_id, errors), run_id)
    return Runs(config.output_root).read(run_id)


def _create(config: PipelineConfig, run_id: str, errors: int) -> pipeline.Pipeline:
    generate = Generate().with_id("TrancheExampleGen")
    examples = generate.outputs["examples"]
    image_table = ImageTable(examples=examples, code_digest="")
    acceptance_plan = AcceptancePlan(
        images=image_table.outputs["images"],
        acceptance=config.acceptance.model_dump_json(),
        code_digest="",
    )
    trainer = Train(examples=examples, errors=errors, run_id=run_id).with_id("Trainer")
    trainer.add_upstream_node(acceptance_plan)
    model = trainer.outputs["model"]
    compared = compared_models(model, config.serving_dir, config.acceptance.reference_run)
    others = {role: node.outputs["model"] for role, node in compared.items()}
    predictor = Predictor(
        examples=examples, model=model, batch_size=BATCH_SIZE, code_digest="", **others
    )
    acceptance_gate = AcceptanceGate(
        acceptance_plan=acceptance_plan.outputs["acceptance_plan"],
        predictions=predictor.outputs["predictions"],
        code_digest="",
        **others,
    )
    blessings = Bless(model=model).with_id("Blessings")
    pusher = Pusher(
        model=model,
        model_blessing=blessings.outputs["blessing"],
        infra_blessing=blessings.outputs["serves"],
        acceptance_decision=acceptance_gate.outputs["acceptance_decision"],
        serving_dir=str(config.serving_dir),
        run_id=run_id,
    )
    return pipeline.Pipeline(
        pipeline_name=config.pipeline_name,
        pipeline_root=str(config.pipeline_root),
        components=[
            generate,
            image_table,
            acceptance_plan,
            trainer,
            *compared.values(),
            predictor,
            acceptance_gate,
            blessings,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(config.metadata_path)
        ),
        beam_pipeline_args=local_args(),
    )
