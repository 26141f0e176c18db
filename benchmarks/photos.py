"""A data root with any number of pictures, hard links to a few hundred photos."""

import csv
import os
from pathlib import Path
from typing import Final

from components.ingest import layout
from schema import features

TRANCHES: Final = 3

_LABEL_COLUMNS: Final = (
    features.FILE_NAME,
    features.HOW_MANY,
    features.POSTURE,
    features.OCCLUDED,
    features.PERSON_TYPE,
    features.EXCEPTION_CASE,
)


def link_photos(source: Path, folder: Path, count: int) -> Path:
    """Links photos under as many names and clips as needed.

    Args:
      source: a master table; its file paths are relative to its folder.
      folder: becomes a data root (`components.ingest.layout`) with a master table.
      count: pictures in total, a third of them in each tranche. If fewer than there are photos,
        they are spread evenly over the table, so that all postures occur.

    Returns:
      The path of the new master table.
    """
    with source.open(encoding="utf-8", newline="") as file:
        photos = list(csv.DictReader(file))
    tranches: dict[str, list[dict[str, str]]] = {}
    stride = max(1, len(photos) // count)
    for number in range(count):
        copies, place = divmod(number * stride, len(photos))
        photo, copy = photos[place], f"{copies}-"
        tranche = str(1 + number * TRANCHES // count)
        images = folder / f"tranch{tranche}"
        images.mkdir(parents=True, exist_ok=True)
        name = copy + photo[features.FILE_NAME]
        os.link(source.parent / photo[features.FILE_PATH], images / name)
        tranches.setdefault(tranche, []).append(
            photo
            | {
                features.FILE_NAME: name,
                features.FILE_PATH: f"{images.name}/{name}",
                features.CLIP: copy + photo[features.CLIP],
                features.TRANCHE: tranche,
            }
        )
    for tranche, rows in tranches.items():
        _write(folder / layout.labels_name(tranche), _LABEL_COLUMNS, rows)
    master = folder / source.name
    _write(master, features.MASTER_COLUMNS, [row for rows in tranches.values() for row in rows])
    return master


def _write(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
