"""From a run to its page, its model card and its settings, in OUT/review/RUN."""

import logging
from pathlib import Path

from components.files import owner_only
from pipeline.review import collect, model_card, page, provenance
from pipeline.runs.run import Run
from pipeline.runs.snapshot import folder, page_path


def build(run: Run, *, against: str | None = None, blur: bool = False) -> Path:
    """Draws the page of a run.

    Args:
      run: as far as it has come.
      against: another run to compare with, instead of the baseline.
      blur: whether pictures are blurred in the file itself.

    Returns:
      The path of the page. What shows patients is readable by its owner only.

    Raises:
      InputError: the other run cannot be compared with.
    """
    root = run.config.output_root
    with owner_only():
        review = collect.collect(run, against)
        place, path = folder(root, run.id), page_path(root, run.id)
        page.write(review, path, blur)
        provenance.write_settings(run.config, place / provenance.SETTINGS_FILE)
        if review.card:
            model_card.write(review.card, place, run.version)
    logging.info("review page: %s", path)
    return path
