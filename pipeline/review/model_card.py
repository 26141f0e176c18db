"""Section 11: the model card, Markdown for the page and for the folder of a pushed model.

Its headings follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from pathlib import Path
from typing import Any, Final

import jinja2

from pipeline.review.contents import Review
from schema import features

FILE_NAME: Final = "model_card.md"
# The place that the SavedModel format keeps for files of others.
PUSHED_FOLDER: Final = "assets.extra"


def model_card(review: Review, settings: dict[str, Any]) -> str:
    """Writes the model card of a run that has trained a model.

    Args:
      review: everything else on the page.
      settings: of the run, by key.
    """
    slices = [review.overall] if review.overall else []
    slices += [part for group in review.groups for part in group.slices]
    # Markdown, not HTML: the page escapes what it makes of it.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.PackageLoader("pipeline.review"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(f"{FILE_NAME}.jinja").render(
        review=review, settings=settings, slices=slices, postures=features.POSTURES
    )


def write(card: str, folder: Path, pushed_to: str | None) -> None:
    """Puts the card beside the page and, once, into the folder of the pushed model.

    A later run that finds the model in the cache says nothing new about it.
    """
    paths = [folder / FILE_NAME]
    if pushed_to and not (Path(pushed_to) / PUSHED_FOLDER / FILE_NAME).exists():
        paths.append(Path(pushed_to) / PUSHED_FOLDER / FILE_NAME)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(card, encoding="utf-8")
