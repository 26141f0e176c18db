"""The model card, in Markdown, for the page and for the folder of a pushed model.

Its headings follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from pathlib import Path
from typing import Final

import jinja2

from components.files import replacing
from components.serving.versions import EXTRA, Version
from pipeline.review import comparison, formats
from pipeline.review.contents import Review
from pipeline.runs.run import Run
from pipeline.runs.verdict import MODELS
from schema import features
from schema import slices as slice_names

FILE_NAME: Final = "model_card.md"


def model_card(review: Review, run: Run) -> str:
    """Writes the model card of a run that has trained a model.

    Args:
      review: everything else on the page.
      run: the run.
    """
    slices = [review.overall] if review.overall else []
    slices += [part for group in review.groups for part in group.slices]
    # No escaping: this is Markdown, and the page escapes the HTML that it renders from it.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.PackageLoader("pipeline.review"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        in_words=comparison.in_words,
        loss=formats.loss,
        points=formats.points,
        slice=slice_names.name,
    )
    return environment.get_template(f"{FILE_NAME}.jinja").render(
        review=review,
        settings=run.config,
        plan=run.plan,
        decision=run.decision,
        models=MODELS,
        points_between=formats.points_between,
        slices=slices,
        postures=features.POSTURES,
    )


def write(card: str, folder: Path, version: Version | None) -> None:
    """Writes the card beside the page and, once, into the pushed version.

    A later run that takes the model from the cache has nothing new to say about it.

    Args:
      card: Markdown.
      folder: of the page.
      version: the pushed model; None if it was not pushed.
    """
    paths = [folder / FILE_NAME]
    if version:
        pushed = version.folder / EXTRA / FILE_NAME
        paths += [] if pushed.exists() else [pushed]
    for path in paths:
        with replacing(path) as file:
            file.write(card)
