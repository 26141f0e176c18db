"""Where a data root has its tranches: image zips or folders, and label tables."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.errors import InputError

# The original deliveries write `tranch`; people write `tranche`. Both are read.
_LABELS: Final = re.compile(r"tranche?([1-9][0-9]*)_labels\.csv")
_ZIP: Final = re.compile(r"persons-posture-tranche?([1-9][0-9]*)\.zip")
_FOLDER: Final = re.compile(r"tranche?([1-9][0-9]*)")
_HOME: Final = "home"  # the original's name for the image folder of tranche 1


@dataclass(frozen=True)
class Tranche:
    """A delivery of labelled images.

    Attributes:
      name: "1", "2", ... as in the file names.
      labels_csv: the label table.
      images_zip: the images as a zip, or None.
      images_dir: the images as a folder, or None. At most one of the two is set;
        neither is for a table without images.
    """

    name: str
    labels_csv: Path
    images_zip: Path | None
    images_dir: Path | None


def labels_name(tranche: str) -> str:
    """Returns the file name of a tranche's label table in a data root."""
    return f"tranch{tranche}_labels.csv"


def zip_name(tranche: str) -> str:
    """Returns the file name of a tranche's image zip in a data root."""
    return f"persons-posture-tranch{tranche}.zip"


def discover(data_root: Path, *, labels_only: bool = False) -> list[Tranche]:
    """Finds the tranches of a data root.

    A tranche N is a table `tranchN_labels.csv` with its images in
    `persons-posture-tranchN.zip` or, already unzipped, in the folder `tranchN`
    (`home` for tranche 1). If both exist, the folder is used. Other files and folders are
    ignored.

    Args:
      data_root: the folder with the tranches.
      labels_only: allows tables without images.

    Returns:
      The tranches, ordered by number.

    Raises:
      InputError: there is no such folder or no table in it, a tranche lacks its
        table or its images, or two files claim the same tranche.
    """
    if not data_root.is_dir():
        raise InputError(
            f"There is no folder {data_root}; give the folder with the label tables"
            " (tranch1_labels.csv, ...) and the image zips."
        )
    try:
        entries = sorted(data_root.iterdir())
    except PermissionError as error:
        raise InputError(f"The folder {data_root} cannot be read: {error.strerror}.") from error
    tables = _by_tranche((path for path in entries if path.is_file()), _LABELS)
    zips = _by_tranche((path for path in entries if path.is_file()), _ZIP)
    folders = _by_tranche((path for path in entries if path.is_dir()), _FOLDER, home="1")

    if not tables:
        raise InputError(f"{data_root} contains no label table; expected tranch1_labels.csv, ...")
    for name in sorted({*zips, *folders} - set(tables), key=int):
        images = folders.get(name) or zips[name]
        raise InputError(
            f"{images} has images of tranche {name}, but {data_root / labels_name(name)} is"
            " missing; add the table or move the images away."
        )
    if not labels_only:
        for name in sorted(set(tables) - {*zips, *folders}, key=int):
            folder = _HOME if name == "1" else f"tranch{name}"
            raise InputError(
                f"{tables[name]} has no images; put {zip_name(name)} or the folder {folder}/"
                " beside it, or count labels alone with `lookdeep master --labels-only`."
            )
    return [
        Tranche(
            name=name,
            labels_csv=tables[name],
            images_zip=None if name in folders else zips.get(name),
            images_dir=folders.get(name),
        )
        for name in sorted(tables, key=int)
    ]


def _by_tranche(
    paths: Iterable[Path], pattern: re.Pattern[str], home: str | None = None
) -> dict[str, Path]:
    """Maps tranche names to the paths whose names match, refusing two for one tranche."""
    found: dict[str, Path] = {}
    for path in paths:
        match = pattern.fullmatch(path.name)
        name = match[1] if match else home if path.name == _HOME else None
        if name is None:
            continue
        if name in found:
            raise InputError(
                f"{found[name]} and {path.name} both claim to be tranche {name}; keep one of them."
            )
        found[name] = path
    return found
