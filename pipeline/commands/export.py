"""The command `lookdeep export`: the model in service, small enough for a device at the bedside."""

import os
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from components.errors import InputError
from components.serving.asking import find_model
from components.serving.tflite import export as device
from components.training import model_run
from pipeline import tables
from pipeline.commands.cli import output_root_option
from pipeline.config import PipelineConfig
from pipeline.runs import snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.record import EXIT_STATUS
from schema import features


@click.command()
@output_root_option("Output folder of the run that pushed the model.")
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=Path),
    help="Folder to write to; must be new or empty.  [default: OUT/tflite/VERSION]",
)
@click.pass_context
def export(ctx: click.Context, output_root: Path, destination: Path | None) -> None:
    """Write the last pushed model as TensorFlow Lite, for a device without TensorFlow.

    There are two files: one with float16 weights, one in int8 throughout. Both are compared with
    the pushed model on the test pictures. If one of them decides otherwise too often, nothing is
    written and the exit status is 3.
    """
    config = snapshot.settings(output_root.absolute())
    source = find_source(config)
    version = source.saved_model.name
    destination = (destination or config.output_root / "tflite" / version).absolute()
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise InputError(
            f"There is something in {destination} already; remove it, or name another folder"
            " with --to."
        )
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    # The output folder may be a backup that cannot be written.
    logs = config.logs_dir if os.access(output_root, os.W_OK) else destination.parent
    log = logs / f"export-{version}.log"
    errors.print(
        Text(f"Converting and checking model {version}; this takes minutes. The log is {log}.")
    )
    models = device.make(source, log)
    refusals = device.refusals(models)
    if not refusals:
        device.write(destination, source, models)
    _show(models)
    if refusals:
        errors.print(Text(f"{'; '.join(refusals)}; nothing was written."))
        ctx.exit(EXIT_STATUS["not_blessed"])
    Console(soft_wrap=True, highlight=False).print(Text(str(destination)))


def find_source(config: PipelineConfig) -> device.PushedModel:
    """Finds the last pushed model, and in ML Metadata what it was made from.

    Raises:
      InputError: there is no pushed model, or something of it is gone.
    """
    saved_model = find_model(config.serving_dir)
    run = Runs(config.output_root).in_service
    if run is None or run.version is None:
        raise InputError(
            f"{config.metadata_store} knows no run that pushed {saved_model}; name the output"
            " folder of that run with --output-root."
        )
    outputs = run.outputs
    trainer = outputs["Trainer", "model_run"].folder
    examples = outputs["TrancheExampleGen", "examples"].folder
    statistics = outputs["StatisticsGen", "statistics"]
    needed = (
        trainer / model_run.KERAS_MODEL,
        trainer / model_run.HISTORY,
        *(examples / f"Split-{split}" for split in (features.TRAIN, features.TEST)),
        statistics.folder,
    )
    for path in needed:
        if not path.exists():
            raise InputError(
                f"{path} is gone, and model {saved_model.name} cannot be exported without it;"
                " put it back, or train again with the command run."
            )
    return device.PushedModel(
        saved_model=saved_model,
        model=run.version.id,
        trained=model_run.read(trainer),
        examples=examples,
        train_images=run.splits[features.TRAIN],
    )


def _show(models: list[device.Model]) -> None:
    threads = sorted({count for model in models for count in model.latency})
    times = (f"p50 / p99, ms, {count} thread{'s' if count > 1 else ''}" for count in threads)
    rows = []
    for model in models:
        speeds = (model.latency.get(count) for count in threads)
        rows.append(
            (
                model.name,
                f"{model.size / 1e6:.1f}",
                *(f"{speed.p50:.1f} / {speed.p99:.1f}" if speed else "" for speed in speeds),
                f"{model.score.agreement * 100:.1f} %" if model.content else "",
                f"{model.score.accuracy * 100:.1f} %",
            )
        )
    headings = ("Model", "MB", *times, "Decides alike", "Accuracy")
    images = f"{models[0].score.images:,} test pictures; the time of the network alone"
    numbers = range(1, len(headings))
    tables.show(Console(), headings, rows, numbers=numbers, caption=images)
