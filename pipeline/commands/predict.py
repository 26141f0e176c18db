"""The command `lookdeep predict`: names the posture in pictures, as the service would."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from components.ingest.archive import printable
from components.serving.asking import Prediction, Unreadable, answers, find_model
from pipeline import tables
from pipeline.commands.cli import output_root_option
from pipeline.config import PipelineConfig
from schema import features


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Folder of a SavedModel, or of its numbered versions.  [default: the last pushed]",
)
@output_root_option("Output folder of the run that pushed the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each picture.")
@click.pass_context
def predict(
    ctx: click.Context, images: Sequence[Path], model: Path | None, output_root: Path, as_json: bool
) -> None:
    """Name the posture of the person in each of IMAGES, and say where the model is unsure.

    The exit status is 1 if one of them cannot be read; the others are answered all the same.
    """
    folder = find_model(model or PipelineConfig(output_root=output_root.absolute()).serving_dir)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    errors.print(Text(f"Loading the model {folder}; TensorFlow takes about ten seconds."))
    rows = []
    caption = ""
    unreadable = 0
    for answer in answers(folder, images):
        if isinstance(answer, Unreadable):
            unreadable += 1
            errors.print(Text(f"{printable(answer.image)} cannot be used: {answer.reason}."))
        elif as_json:
            click.echo(json.dumps(asdict(answer)))
        else:
            known = {name: f"{share * 100:.0f} %" for name, share in answer.probabilities.items()}
            shares = (known.get(name, "") for name in features.POSTURES)
            doubt = "unsure" if answer.unsure else ""
            rows.append((printable(answer.image), answer.label, doubt, *shares))
            caption = _who(answer)
    headings = ("Image", "Posture", "", *features.POSTURES)
    tables.show(Console(), headings, rows, numbers=range(3, len(headings)), caption=caption)
    ctx.exit(1 if unreadable else 0)


def _who(answer: Prediction) -> str:
    """Says who answered, and from which confidence on it is sure."""
    sure = "" if answer.threshold is None else f", sure from {answer.threshold * 100:.1f} % on"
    return f"Model: {printable(answer.model)}{sure}"
