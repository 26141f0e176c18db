"""From a run to its page, its model card and its settings, in OUT/review/RUN."""

import logging
from pathlib import Path

from components.files import owner_only
from pipeline.review import collect, model_card, page, provenance
from pipeline.runs.snapshot import Snapshot, folder, page_path


def build(snapshot: Snapshot, *, against: str | None = None, blur: bool = False) -> Path:
    """Draws the page of a run.

    Args:
      snapshot: the run as its worker saw it.
      against: another run to compare with, instead of the baseline.
      blur: whether pictures are blurred in the file itself.

    Returns:
      The path of the page. What shows patients is readable by its owner only.

    Raises:
      InputError: the other run cannot be compared with.
    """
    with owner_only():
        review = collect.collect(snapshot, against)
        place = folder(snapshot.config.output_root, snapshot.run_id)
        path = page_path(snapshot.config.output_root, snapshot.run_id)
        page.write(review, path, blur)
        provenance.write_settings(snapshot.config, place / provenance.SETTINGS_FILE)
        if review.card:
            model_card.write(review.card, place, review.run.pushed_to)
    logging.info("review page: %s", path)
    return path
