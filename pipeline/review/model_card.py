"""Section 11: the model card, in Markdown, for the page and for the folder of a pushed model.

Its headings follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from pathlib import Path
from typing import Any, Final

import jinja2

from components.files import replacing
from pipeline.review.contents import Review
from schema import features

FILE_NAME: Final = "model_card.md"
# Where the SavedModel format allows additional files.
PUSHED_FOLDER: Final = "assets.extra"


def model_card(review: Review, settings: dict[str, Any]) -> str:
    """Writes the model card of a run that has trained a model.

    Args:
      review: everything else on the page.
      settings: of the run, by key.
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
    return environment.get_template(f"{FILE_NAME}.jinja").render(
        review=review,
        settings=settings,
        slices=slices,
        postures=features.POSTURES,
        posture_column=features.POSTURE,
    )


def write(card: str, folder: Path, pushed_to: str | None) -> None:
    """Writes the card beside the page and into the folder of the pushed model.

    The latter only if there is none yet: a later run that pushes nothing new leaves it.
    """
    paths = [folder / FILE_NAME]
    if pushed_to and not (Path(pushed_to) / PUSHED_FOLDER / FILE_NAME).exists():
        paths.append(Path(pushed_to) / PUSHED_FOLDER / FILE_NAME)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(card)
