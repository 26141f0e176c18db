"""The command `lookdeep predict`: names the posture in pictures, as the service would."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import processes
from components.errors import InputError
from components.ingest.archive import printable
from pipeline.commands.cli import output_root_option
from pipeline.config import PipelineConfig
from schema import features

BATCH_SIZE: Final = 16  # pictures that are held at once

# Pillow scales larger pictures down to this; the model scales to its own ingestion
# size, which is at most as large (`PipelineConfig.ingest_size`).
MAX_SIDE: Final = 4096


@dataclass(frozen=True)
class Prediction:
    """What the model says of one picture.

    Attributes:
      image: its path as it was given.
      label: the most probable posture.
      confidence: its probability.
      probabilities: of each posture.
      unsure: whether the confidence is below the model's own threshold.
    """

    image: str
    label: str
    confidence: float
    probabilities: dict[str, float]
    unsure: bool


@dataclass(frozen=True)
class Unreadable:
    """A file that is no usable picture, and why."""

    image: str
    reason: str


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

    The exit status is 1 if one of them cannot be read; the others are still named.
    """
    folder = find_model(model or PipelineConfig(output_root=output_root.absolute()).serving_dir)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    errors.print(Text(f"Loading the model {folder}; TensorFlow takes some ten seconds."))
    table = Table("Image", "Posture", "", *features.POSTURES, show_edge=False, pad_edge=False)
    unreadable = 0
    for answer in answers(folder, images):
        if isinstance(answer, Unreadable):
            unreadable += 1
            errors.print(Text(f"{printable(answer.image)} cannot be used: {answer.reason}."))
        elif as_json:
            click.echo(json.dumps(asdict(answer)))
        else:
            shares = (f"{answer.probabilities[name]:.2f}" for name in features.POSTURES)
            doubt = "unsure" if answer.unsure else ""
            table.add_row(
                Text(printable(answer.image), overflow="fold"), answer.label, doubt, *shares
            )
    if table.row_count:
        Console().print(table)
    ctx.exit(1 if unreadable else 0)


def find_model(folder: Path) -> Path:
    """Finds a SavedModel.

    Args:
      folder: a SavedModel, or a folder of numbered versions as the Pusher writes them.

    Returns:
      The folder itself, or that of the highest version.

    Raises:
      InputError: there is none.
    """
    if (folder / "saved_model.pb").is_file():
        return folder
    versions = [
        path.parent for path in folder.glob("*/saved_model.pb") if path.parent.name.isdigit()
    ]
    if not versions:
        raise InputError(
            f"There is no model in {folder}; push one with `lookdeep run`, or name another folder."
        )
    return max(versions, key=lambda path: int(path.name))


def answers(folder: Path, images: Sequence[Path]) -> Iterator[Prediction | Unreadable]:
    """Sends pictures to a model's `serving_default`.

    Pillow opens them, as it did in ingestion and also in a process of its own, because
    TensorFlow ignores EXIF orientation and reads fewer formats. They travel as PNG, which
    keeps every pixel.

    Args:
      folder: a SavedModel of this pipeline.
      images: paths.

    Yields:
      An answer for each picture, in order.

    Raises:
      InputError: the model cannot be loaded, takes no pictures, or is from before models
        could be unsure.
    """
    serve = _load(folder)
    import tensorflow as tf

    from components.ingest.converter import Converter
    from components.ingest.images import ImageRejected

    with Converter() as converter:
        for start in range(0, len(images), BATCH_SIZE):
            readable: list[bytes] = []
            batch: list[Path | Unreadable] = []
            for path in images[start : start + BATCH_SIZE]:
                try:
                    readable.append(converter.png(path, MAX_SIDE))
                    batch.append(path)
                except ImageRejected as error:
                    batch.append(Unreadable(str(path), str(error)))
            rows = iter(_rows(serve(image_bytes=tf.constant(readable)))) if readable else iter(())
            for entry in batch:
                if isinstance(entry, Unreadable):
                    yield entry
                elif (row := next(rows)) is None:
                    yield Unreadable(str(entry), "the model could not read it")
                else:
                    yield Prediction(str(entry), *row)


def _load(folder: Path) -> Any:
    processes.hush_libraries()
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"The model {folder} cannot be loaded: {error}.") from error
    serve = model.signatures.get("serving_default")
    if serve is None or "image_bytes" not in serve.structured_input_signature[1]:
        raise InputError(
            f"The model {folder} does not take encoded pictures; name one that `lookdeep run` made."
        )
    if features.UNSURE not in serve.structured_outputs:
        raise InputError(
            f"The model {folder} does not say when it is unsure, so it is from an older version"
            " of this pipeline; push a new one with `lookdeep run`."
        )
    # The signature dies with the model, unless someone holds on to it.
    serve.model = model
    return serve


_Row = tuple[str, float, dict[str, float], bool]


def _rows(outputs: dict[str, Any]) -> Iterator[_Row | None]:
    """The answers of a batch: label, confidence, probabilities, whether unsure; None if refused."""
    names = ("label", "confidence", "probabilities", features.UNSURE)
    columns = [outputs[name].numpy() for name in names]
    # Models from before they could refuse single pictures refused whole batches.
    refused = outputs[features.REFUSED].numpy() if features.REFUSED in outputs else repeat(False)
    for bad, label, confidence, shares, unsure in zip(refused, *columns, strict=False):
        by_posture = dict(zip(features.POSTURES, map(float, shares), strict=True))
        yield None if bad else (label.decode(), float(confidence), by_posture, bool(unsure))
