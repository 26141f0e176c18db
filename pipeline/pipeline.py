"""The DAG, top to bottom: from TFRecords to a pushed model and the page about it."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.components import (
    Evaluator,
    ExampleValidator,
    SchemaGen,
    Trainer,
    Transform,
    Tuner,
)
from tfx.dsl.compiler.constants import PIPELINE_RUN_ID_PARAMETER_NAME
from tfx.dsl.experimental.conditionals import conditional
from tfx.orchestration import pipeline
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import trainer_pb2, transform_pb2

from components.code_digest import code_digest
from components.examples.contract import FILE as SCHEMA_FILE
from components.examples.curated_schema import CuratedSchema
from components.examples.example_gen import TrancheExampleGen
from components.examples.image_table import ImageTable
from components.examples.statistics_gen import StatisticsGen
from components.examples.validation_gate import ValidationGate
from components.judging.acceptance_gate import AcceptanceGate
from components.judging.acceptance_plan import AcceptancePlan
from components.judging.predictor import Predictor
from components.judging.serving_check.component import ServingCheck
from components.serving.baseline import compared_models
from components.serving.pusher import Pusher
from components.training.trainer_settings import TrainerSettings
from pipeline.config import PipelineConfig
from pipeline.evaluation import BATCH_SIZE, eval_config
from pipeline.review.component import ReviewPage
from pipeline.runs import lineage
from schema import features


def create_pipeline(config: PipelineConfig, beam_pipeline_args: Sequence[str]) -> pipeline.Pipeline:
    """Builds the pipeline over TFRecords that ingestion has written.

    Args:
      config: the settings of the run.
      beam_pipeline_args: Beam's options, from `pipeline.beam`.

    Returns:
      A TFX pipeline for any runner.
    """
    run_id = RuntimeParameter(name=PIPELINE_RUN_ID_PARAMETER_NAME, ptype=str)

    # Reads the TFRecords of all tranches; each clip goes to train, eval or test.
    example_gen = TrancheExampleGen(
        input_base=config.told(config.tfrecords_dir),
        shares=config.splits.model_dump(),
        selection=config.selection,
        code_digest=code_digest("components.examples.example_gen"),
    )
    examples = example_gen.outputs["examples"]

    # Statistics of each split, over all and by tranche.
    statistics_gen = StatisticsGen(
        examples=examples,
        code_digest=code_digest("components.examples.statistics_gen"),
    )
    statistics = statistics_gen.outputs["statistics"]

    # Everything known of each image but its pixels.
    image_table = ImageTable(
        examples=examples, code_digest=code_digest("components.examples.image_table")
    )

    # The inferred schema, for people to compare with the curated one.
    schema_gen = SchemaGen(statistics=statistics)

    # The curated schema: the contract on labels, occlusion and image.
    curated_schema = CuratedSchema(schema_file=str(SCHEMA_FILE), sha256=_sha256(SCHEMA_FILE))
    contract = curated_schema.outputs["schema"]

    # Where the data breaks the contract.
    example_validator = ExampleValidator(statistics=statistics, schema=contract)

    # Stops the run before training if it does.
    validation_gate = ValidationGate(
        statistics=statistics,
        anomalies=example_validator.outputs["anomalies"],
        images=image_table.outputs["images"],
        schema=contract,
        max_label_drift=config.max_label_drift,
        untested_tranches=config.untested_tranches,
        missing_posture_floor=config.missing_posture_floor,
        code_digest=code_digest("components.examples.validation_gate"),
    )
    passed = validation_gate.outputs["verdict"].future()[0].property("passed") == 1

    with conditional.Cond(passed):
        # Publishes what will decide, before there is a model to decide about.
        acceptance_plan = AcceptancePlan(
            images=image_table.outputs["images"],
            acceptance=config.acceptance.model_dump_json(),
            code_digest=code_digest("components.judging.acceptance_plan"),
        )
        plan = acceptance_plan.outputs["acceptance_plan"]

        # Decodes, fits and stores the selected pictures in a compact form.
        transform = Transform(
            examples=examples,
            schema=contract,
            preprocessing_fn="components.examples.preprocessing.preprocessing_fn",
            splits_config=transform_pb2.SplitsConfig(
                analyze=[features.TRAIN], transform=[features.TRAIN, features.EVAL]
            ),
            # StatisticsGen has them; of these pictures they would cost more than the pictures.
            disable_statistics=True,
            custom_config={
                "image_size": config.image_size,
                "fit": config.fit,
                "code_digest": code_digest("components.examples.preprocessing", "tfx"),
            },
        )

        training = {
            "examples": transform.outputs["transformed_examples"],
            "transform_graph": transform.outputs["transform_graph"],
            "schema": contract,
            "train_args": trainer_pb2.TrainArgs(splits=[features.TRAIN]),
            "eval_args": trainer_pb2.EvalArgs(splits=[features.EVAL]),
        }
        training_config = {
            "settings": asdict(trainer_settings(config)),
            "cache_root": str(config.feature_cache_dir),
            "base_weights_sha256": _sha256(Path(config.base_weights)),
        }

        # Looks for better hyperparameters, where a budget is given.
        tuners = []
        if config.tuning_minutes:
            tuners = [
                Tuner(
                    tuner_fn="components.training.tuner.tuner_fn",
                    custom_config=training_config
                    | {
                        "minutes": config.tuning_minutes,
                        "code_digest": code_digest("components.training.tuner", "tfx"),
                    },
                    **training,
                )
            ]

        # Trains in phases and exports the model with its signatures.
        trainer = Trainer(
            run_fn="components.training.trainer.run_fn",
            hyperparameters=tuners[0].outputs["best_hyperparameters"] if tuners else None,
            custom_config=training_config
            | {
                "backup_root": str(config.training_backup_dir),
                "code_digest": code_digest("components.training.trainer", "tfx"),
            },
            **training,
        )
        for training_node in (*tuners, trainer):
            training_node.add_upstream_node(acceptance_plan)
        model = trainer.outputs["model"]

        # What the model is compared with: the one in service, and the reference.
        compared = compared_models(model, config.serving_dir, config.acceptance.reference_run)
        others = {role: node.outputs["model"] for role, node in compared.items()}

        # Judges the model on the test clips, slice by slice.
        evaluator = Evaluator(
            examples=examples,
            example_splits=[features.TEST],
            model=model,
            eval_config=eval_config(config),
            module_path="pipeline.evaluation",  # has custom_extractors
        )
        # The Evaluator has no parameter for the digest of its metrics' code.
        evaluator.spec.exec_properties["code_digest"] = code_digest("pipeline.evaluation", "tfx")

        # Sends real requests to the exported model in a process of its own.
        serving_check = ServingCheck(
            model=model,
            model_run=trainer.outputs["model_run"],
            examples=examples,
            transformed_examples=transform.outputs["transformed_examples"],
            code_digest=code_digest("components.judging.serving_check.executor"),
        )

        # The answers of all models for each test image; for the review page, too.
        predictor = Predictor(
            examples=examples,
            model=model,
            batch_size=BATCH_SIZE,
            code_digest=code_digest("components.judging.predictor"),
            **others,
        )

        # Judges the model by the plan, and beside the models that it may replace.
        acceptance_gate = AcceptanceGate(
            acceptance_plan=plan,
            predictions=predictor.outputs["predictions"],
            code_digest=code_digest("components.judging.acceptance_gate"),
            **others,
        )

        # Pushes a model that all have passed, whole or not at all.
        pusher = Pusher(
            model=model,
            model_blessing=evaluator.outputs["blessing"],
            infra_blessing=serving_check.outputs["blessing"],
            acceptance_decision=acceptance_gate.outputs["acceptance_decision"],
            serving_dir=str(config.serving_dir),
            run_id=run_id,
        )

    # Draws the review page. It is outside the condition: refused data have a page, too.
    review_page = ReviewPage(
        output_root=str(config.output_root),
        run_id=run_id,
    )
    review_page.add_upstream_nodes([image_table, validation_gate, pusher])

    return pipeline.Pipeline(
        pipeline_name=config.pipeline_name,
        pipeline_root=config.told(config.pipeline_root),
        components=[
            example_gen,
            statistics_gen,
            image_table,
            schema_gen,
            curated_schema,
            example_validator,
            validation_gate,
            acceptance_plan,
            transform,
            *tuners,
            trainer,
            *compared.values(),
            evaluator,
            serving_check,
            predictor,
            acceptance_gate,
            pusher,
            review_page,
        ],
        enable_cache=True,
        metadata_connection_config=lineage.connection(
            config, mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        ),
        beam_pipeline_args=list(beam_pipeline_args),
    )


def trainer_settings(config: PipelineConfig) -> TrainerSettings:
    """The settings that decide the training."""
    names = TrainerSettings.__dataclass_fields__
    return TrainerSettings(**{name: getattr(config, name) for name in names})


def _sha256(path: Path) -> str:
    """SHA-256 of a file; empty for `imagenet` and `none`, which are not files."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
