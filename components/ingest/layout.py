"""Where a data root has its tranches: image zips or folders, and label tables."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components import command_line
from components.errors import InputError
from components.ingest.archive import printable

# The original deliveries write `tranch`; people write `tranche`; a Windows share may write
# capitals. All are read.
_LABELS: Final = re.compile(r"(?ai)tranche?([1-9][0-9]*)_labels\.csv")
_ZIP: Final = re.compile(r"(?ai)persons-posture-tranche?([1-9][0-9]*)\.zip")
_FOLDER: Final = re.compile(r"(?ai)tranche?([1-9][0-9]*)")
_HOME: Final = "home"  # the original's name for the image folder of tranche 1

# The letters of the names above, and what a name that is meant as one of them contains.
_LETTERS: Final = ("tranchlabelscsv", "personsposturetranchzip", "tranch", _HOME)
_WORDS: Final = ("tranch", "posture", "label")
_LIKENESS: Final = 0.85  # of `difflib`, from 0 to 1


@dataclass(frozen=True)
class Tranche:
    """A delivery of labelled images.

    Attributes:
      name: "1", "2", ... as in the file names.
      labels_csv: the label table.
      images_zip: the images as a zip, or None.
      images_dir: the images as a folder, or None. If there is one, it is used. A table without
        images has neither.
    """

    name: str
    labels_csv: Path
    images_zip: Path | None
    images_dir: Path | None

    @property
    def images(self) -> Path | None:
        """What the images are read from."""
        return self.images_dir or self.images_zip


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
    (`home` for tranche 1). Small and capital letters are the same. Other files and folders are
    ignored; see `strays`.

    Args:
      data_root: the folder with the tranches.
      labels_only: allows tables without images.

    Returns:
      The tranches, ordered by number.

    Raises:
      InputError: there is no such folder or no table in it, a tranche lacks its
        table or its images, or two files claim the same tranche.
    """
    entries = _entries(data_root)
    tables = _by_tranche((path for path in entries if path.is_file()), _LABELS)
    zips = _by_tranche((path for path in entries if path.is_file()), _ZIP)
    folders = _by_tranche((path for path in entries if path.is_dir()), _FOLDER, home="1")

    near = strays(data_root)
    nearly = f"; nearly named so: {', '.join(near)}" if near else ""
    if not tables:
        deeper = sorted(p.parent for p in data_root.glob("*/*") if _LABELS.fullmatch(p.name))
        hint = f"give the folder {deeper[0]}" if deeper else "expected tranch1_labels.csv, ..."
        raise InputError(f"{data_root} contains no label table; {hint}{nearly}.")
    for name in sorted({*zips, *folders} - set(tables), key=int):
        images = folders.get(name) or zips[name]
        raise InputError(
            f"{images} has images of tranche {name}, but {data_root / labels_name(name)} is"
            f" missing; add the table or move the images away{nearly}."
        )
    if not labels_only:
        for name in sorted(set(tables) - {*zips, *folders}, key=int):
            folder = _HOME if name == "1" else f"tranch{name}"
            raise InputError(
                f"{tables[name]} has no images; put {zip_name(name)} or the folder {folder}/"
                " beside it, or count labels alone:"
                f" `{command_line.lookdeep('master', '--labels-only', '--data-root', data_root)}`"
                f"{nearly}."
            )
    return [
        Tranche(name, tables[name], zips.get(name), folders.get(name))
        for name in sorted(tables, key=int)
    ]


def strays(data_root: Path) -> list[str]:
    """Finds what `discover` ignores, but somebody may have meant as a part of a tranche.

    That are second downloads (`tranch2_labels (1).csv`), copies, other spellings (`tranch02`), and
    broken links.

    Args:
      data_root: the folder with the tranches.

    Returns:
      Names, fit for a message.

    Raises:
      InputError: the folder cannot be read.
    """
    found = []
    for path in _entries(data_root):
        patterns = (_LABELS, _ZIP) if path.is_file() else (_FOLDER,) if path.is_dir() else ()
        known = any(pattern.fullmatch(path.name) for pattern in patterns)
        if known or (path.is_dir() and path.name.lower() == _HOME) or path.name[0] in ".~":
            continue
        letters = re.sub("[^a-z]", "", path.name.lower())
        if any(word in letters for word in _WORDS) or difflib.get_close_matches(
            letters, _LETTERS, cutoff=_LIKENESS
        ):
            broken = path.is_symlink() and not path.exists()
            mark = "/" if path.is_dir() else " (a broken link)" if broken else ""
            found.append(printable(path.name) + mark)
    return found


def _entries(data_root: Path) -> list[Path]:
    if not data_root.is_dir():
        raise InputError(
            f"There is no folder {data_root}; give the folder with the label tables"
            " (tranch1_labels.csv, ...) and the image zips."
        )
    try:
        return sorted(data_root.iterdir())
    except PermissionError as error:
        raise InputError(f"The folder {data_root} cannot be read: {error.strerror}.") from error


def _by_tranche(
    paths: Iterable[Path], pattern: re.Pattern[str], home: str | None = None
) -> dict[str, Path]:
    """Maps tranche names to the paths whose names match, refusing two for one tranche."""
    found: dict[str, Path] = {}
    for path in paths:
        match = pattern.fullmatch(path.name)
        name = match[1] if match else home if path.name.lower() == _HOME else None
        if name is None:
            continue
        if name in found:
            raise InputError(
                f"{found[name]} and {path.name} both claim to be tranche {name}; keep one of them."
            )
        found[name] = path
    return found
