"""Joins label tables and images of all tranches into one tranch_master.csv.

The join runs in a temporary SQLite file, so that memory does not grow with the
number of images: it finds duplicates, matches names and sorts.
"""

import csv
import difflib
import errno
import os
import sqlite3
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components.errors import DataError, InputError
from components.files import replacing
from components.ingest import archive, grouping, layout, near_names
from components.ingest.labels import LABEL_COLUMNS, TableProblems, read_labels
from components.ingest.spreadsheet import harmless
from schema import features

MASTER_NAME: Final = "tranch_master.csv"
REJECTS_NAME: Final = "rejects.csv"
CONTRADICTIONS_NAME: Final = "contradictions.csv"
IMAGES_NAME: Final = "images"
REPORT_COLUMNS: Final = ("tranche", "file_name", "table", "row", "reason")

POSTURE_WITHOUT_PERSON: Final = f"{features.POSTURE} is known, but {features.HOW_MANY} is None"
BAD_IMAGE_WITH_POSTURE: Final = (
    f"{features.EXCEPTION_CASE} is Bad Image, but {features.POSTURE} is known"
)
CONTRADICTIONS: Final = (POSTURE_WITHOUT_PERSON, BAD_IMAGE_WITH_POSTURE)

_EXTENSIONS: Final = (".png", ".jpg", ".jpeg")

_NEAREST_OF: Final = 1000  # names that are compared letter by letter

_LINKED_FOLDER: Final = "a link to a folder, which is not followed"

# Called with the tranche's name, bytes unzipped, and bytes in all.
Advance = Callable[[str, int, int], None]


@dataclass
class MatchCounts:
    """How the labels and images of one tranche match.

    Attributes:
      rows: rows of the label table.
      images: image files. If only labels were asked for, this and the next three are 0.
      matched: rows with their image.
      labels_without_image: rows without an image.
      images_without_label: image files that no row names.
      other_files: files among the images that are not images.
      known_posture: rows in tranch_master.csv with one of the classes.
      postures: the same by class.
    """

    rows: int = 0
    images: int = 0
    matched: int = 0
    labels_without_image: int = 0
    images_without_label: int = 0
    other_files: int = 0
    known_posture: int = 0
    postures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(features.POSTURES, 0))


@dataclass
class MasterReport:
    """What `build_master` found and wrote.

    Attributes:
      tranches: counts by tranche name, in order.
      rows: rows of tranch_master.csv.
      clips: distinct clips in it.
      known_posture: rows with one of the classes.
      single_person: rows in the selection of that name.
      contradictions: rows of the label tables that contradict themselves, by kind.
      shared_clips: clips that appear in more than one tranche.
      warnings: what is read, but may not be as it should be; sentences.
      master: path of tranch_master.csv.
      rejects: path of the table of what did not match.
      contradictory_rows: path of the table of contradictions.
    """

    master: Path
    rejects: Path
    contradictory_rows: Path
    tranches: dict[str, MatchCounts] = field(default_factory=dict)
    rows: int = 0
    clips: int = 0
    known_posture: int = 0
    single_person: int = 0
    contradictions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CONTRADICTIONS, 0))
    shared_clips: int = 0
    warnings: list[str] = field(default_factory=list)


def build_master(
    data_root: Path,
    out_dir: Path,
    *,
    labels_only: bool = False,
    advance: Advance | None = None,
) -> MasterReport:
    """Writes tranch_master.csv and the tables of what does not match.

    - `tranch_master.csv`: `features.MASTER_COLUMNS`, one row for each label with an image,
      sorted by tranche and file name. Blank cells stay blank; a single quote precedes what a
      spreadsheet would take for a formula. `file_path` is relative to the table's folder for
      images below it, else absolute; blank with `labels_only`.
    - `rejects.csv`: labels without image, images without label, and files that are not images,
      with the reason. It is written even if a tranche is refused because nothing matches.
    - `contradictions.csv`: rows whose labels contradict each other. They stay in
      the master table.

    Zipped tranches are unzipped to `images/` in the output folder; folders are
    used in place.

    Args:
      data_root: folder of the tranches, see `layout.discover`.
      out_dir: the output folder; made if it does not exist.
      labels_only: only counts labels; the tables need no images.
      advance: is told how far the unzipping is.

    Returns:
      Counts and paths.

    Raises:
      DataError: a table or an archive breaks the contract; names file and row.
      InputError: the data root or the output folder cannot be used.
    """
    tranches = layout.discover(data_root, labels_only=labels_only)
    report = MasterReport(
        master=out_dir / MASTER_NAME,
        rejects=out_dir / REJECTS_NAME,
        contradictory_rows=out_dir / CONTRADICTIONS_NAME,
    )
    if strays := layout.strays(data_root):
        report.warnings.append(
            f"Not read, but nearly named as one of a tranche: {', '.join(strays)} in {data_root}."
            " Rename what belongs to a tranche N to tranchN_labels.csv, persons-posture-tranchN.zip"
            " or (a folder) tranchN, and move the rest away."
        )
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with closing(_open()) as join:
            for tranche in tranches:
                report.tranches[tranche.name] = MatchCounts()
                _add_labels(join, tranche)
            if not labels_only:
                for tranche in tranches:
                    _add_images(join, tranche, out_dir, advance)
                    if tranche.images_zip and tranche.images_dir:
                        report.warnings += _lacks(join, tranche, out_dir)
            _count(join, report, labels_only)
            if any(counts.labels_without_image for counts in report.tranches.values()):
                near_names.note(join)
            _write(report.rejects, REPORT_COLUMNS, _reject_rows(join))
            if not labels_only:
                _refuse_strangers(join, tranches, report)
            report.warnings += _doubts(join, report)
            _write(report.master, features.MASTER_COLUMNS, _master_rows(join))
            _write(report.contradictory_rows, REPORT_COLUMNS, _contradictory_rows(join))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise InputError(
            "The folder for temporary files has no room for the join; free some, or set TMPDIR to"
            " another folder."
        ) from error
    except OSError as error:
        raise InputError(
            f"{error.filename or out_dir} cannot be used: {error.strerror or error}."
        ) from error
    return report


# -- In ---------------------------------------------------------------------------------


def _open() -> sqlite3.Connection:
    # Without a name: a temporary file, which even a killed process does not leave behind.
    join = sqlite3.connect("", isolation_level=None)
    # Speed matters, surviving a crash does not.
    join.executescript(
        f"""
        PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
        PRAGMA temp_store = FILE;
        CREATE TABLE label (
            file_name TEXT PRIMARY KEY, tranche INTEGER, source TEXT, row INTEGER, clip TEXT,
            {", ".join(f"{column} TEXT" for column in LABEL_COLUMNS)}
        ) WITHOUT ROWID;
        CREATE TABLE image (
            tranche INTEGER, file_name TEXT, file_path TEXT, PRIMARY KEY (tranche, file_name)
        ) WITHOUT ROWID;
        CREATE TABLE reject (tranche INTEGER, file_name TEXT, reason TEXT);
        CREATE TABLE hint (file_name TEXT PRIMARY KEY, words TEXT) WITHOUT ROWID;
        BEGIN;
        """
    )
    join.create_function("is_selected", 4, features.is_selected, deterministic=True)
    return join


def _add_labels(join: sqlite3.Connection, tranche: layout.Tranche) -> None:
    table = tranche.labels_csv
    marks = ", ".join("?" * (5 + len(LABEL_COLUMNS)))
    insert = f"INSERT OR IGNORE INTO label VALUES ({marks})"  # noqa: S608 -- question marks
    with TableProblems(table) as problems:
        for label in read_labels(table, problems):
            added = join.execute(
                insert,
                (
                    label.file_name,
                    int(tranche.name),
                    table.name,
                    label.row,
                    label.clip,
                    *label.values,
                ),
            )
            if not added.rowcount:
                source, row = join.execute(
                    "SELECT source, row FROM label WHERE file_name = ?", (label.file_name,)
                ).fetchone()
                problems.add(
                    label.row,
                    f"the image {label.file_name!r} is already in row {row} of {source};"
                    " keep one of the two rows.",
                )


def _add_images(
    join: sqlite3.Connection, tranche: layout.Tranche, out_dir: Path, advance: Advance | None
) -> None:
    if tranche.images_dir:
        folder = tranche.images_dir
    else:
        assert tranche.images_zip is not None  # noqa: S101 (discover sees to it)
        folder = out_dir / IMAGES_NAME / f"tranch{tranche.name}"
        archive.unzip(
            tranche.images_zip,
            folder,
            lambda done, total: advance(tranche.name, done, total) if advance else None,
        )
    number = int(tranche.name)
    folder, base = folder.resolve(), out_dir.resolve()
    for name, path, reason in _files(folder):
        if reason:
            join.execute("INSERT INTO reject VALUES (?, ?, ?)", (number, name, reason))
            continue
        if folder.is_relative_to(base):
            path = os.path.relpath(path, base)
        added = join.execute("INSERT OR IGNORE INTO image VALUES (?, ?, ?)", (number, name, path))
        if not added.rowcount:
            (other,) = join.execute(
                "SELECT file_path FROM image WHERE tranche = ? AND file_name = ?", (number, name)
            ).fetchone()
            raise DataError(
                f"{path} and {other} have the same name, so a label cannot tell them apart;"
                " keep one of them."
            )


def _files(folder: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yields name (NFC), path and, if it cannot be an image, the reason, of all files."""

    def refuse(error: OSError) -> None:
        raise error  # os.walk would leave out a folder that it may not read

    for parent, folders, names in os.walk(folder, onerror=refuse):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                yield archive.printable(name), "", _LINKED_FOLDER
        for name in names:
            path = os.path.join(parent, name)
            if archive.UNTYPABLE.search(path):
                yield (
                    archive.printable(name),
                    "",
                    "its name or folder contains control characters or bytes that are not UTF-8",
                )
            elif not _is_image(name):
                yield name, path, "not an image file (png, jpg, jpeg)"
            elif not _is_regular(path):
                yield name, path, "not a regular file: a broken link or a device"
            else:
                yield unicodedata.normalize("NFC", name), path, None


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(_EXTENSIONS)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise


def _lacks(join: sqlite3.Connection, tranche: layout.Tranche, out_dir: Path) -> Iterator[str]:
    """Warns of a folder that lacks images of the zip beside it, as a broken unzip leaves it."""
    assert tranche.images_zip is not None  # noqa: S101 (the caller sees to it)
    used = f"Of {tranche.images_dir} and {tranche.images_zip}, the folder is used"
    try:
        packed = [each for each in archive.sizes(tranche.images_zip) if _is_image(each[0])]
    except InputError as error:
        yield f"{used}; the zip cannot be compared with it: {error}"
        return
    missing = 0
    for name, size in packed:
        found = join.execute(
            "SELECT file_path FROM image WHERE tranche = ? AND file_name = ?",
            (int(tranche.name), name),
        ).fetchone()
        missing += found is None or os.stat(out_dir.resolve() / found[0]).st_size != size
    if missing:
        yield (
            f"{used}, and {missing:,} of the zip's {len(packed):,} images are not there, or not of"
            " the same size. Move the folder away if it was unzipped only in part, or else the zip."
        )


# -- Out --------------------------------------------------------------------------------


def _count(join: sqlite3.Connection, report: MasterReport, labels_only: bool) -> None:
    """Makes the view `master`, the rows of tranch_master.csv, and counts everything."""
    images = "LEFT JOIN image" if labels_only else "JOIN image"
    join.execute(
        f"CREATE VIEW master AS SELECT * FROM label {images} USING (tranche, file_name)"  # noqa: S608
    )

    def by_tranche(query: str) -> Iterator[tuple[MatchCounts, int]]:
        for tranche, count in join.execute(query + " GROUP BY tranche"):
            yield report.tranches[str(tranche)], count

    for counts, count in by_tranche("SELECT tranche, COUNT(*) FROM label"):
        counts.rows = count
    for counts, count in by_tranche("SELECT tranche, COUNT(*) FROM image"):
        counts.images = count
    for counts, count in by_tranche("SELECT tranche, COUNT(*) FROM reject"):
        counts.other_files = count
    for counts, count in by_tranche("SELECT tranche, COUNT(file_path) FROM master"):
        counts.matched = count
    for posture in features.POSTURES:
        query = f"SELECT tranche, COUNT(*) FROM master WHERE primary_posture = '{posture}'"  # noqa: S608
        for counts, count in by_tranche(query):
            counts.postures[posture] = count
    for counts in report.tranches.values():
        counts.known_posture = sum(counts.postures.values())
        if not labels_only:
            counts.labels_without_image = counts.rows - counts.matched
            counts.images_without_label = counts.images - counts.matched

    report.rows, report.clips, report.single_person = join.execute(
        f"""
        SELECT COUNT(*), COUNT(DISTINCT clip), COALESCE(SUM(is_selected(
            '{features.SINGLE_PERSON}', primary_posture, how_many, primary_occluded)), 0)
        FROM master
        """  # noqa: S608
    ).fetchone()
    report.known_posture = sum(counts.known_posture for counts in report.tranches.values())
    (report.shared_clips,) = join.execute(
        "SELECT COUNT(*) FROM"
        " (SELECT clip FROM label GROUP BY clip HAVING MIN(tranche) < MAX(tranche))"
    ).fetchone()
    for *_, kind in _contradictory_rows(join):
        report.contradictions[str(kind)] += 1


def _refuse_strangers(
    join: sqlite3.Connection, tranches: list[layout.Tranche], report: MasterReport
) -> None:
    """Raises if a tranche's table and images have nothing in common; says why that may be."""
    for tranche in tranches:
        counts = report.tranches[tranche.name]
        if counts.matched:
            continue
        number = (int(tranche.name),)
        said = [
            f"None of the {counts.images:,} images in {tranche.images} is named in"
            f" {tranche.labels_csv} ({counts.rows:,} rows)"
            if counts.images
            else f"There are no images in {tranche.images}"
        ]
        row, name, words = join.execute(
            "SELECT row, file_name, words FROM label LEFT JOIN hint USING (file_name)"
            " WHERE tranche = ? ORDER BY words IS NULL, row LIMIT 1",
            number,
        ).fetchone()
        if not words:
            some = join.execute(
                f"SELECT file_name FROM image WHERE tranche = ? LIMIT {_NEAREST_OF}",  # noqa: S608
                number,
            )
            if near := difflib.get_close_matches(name, [each for (each,) in some], n=1):
                words = f"and the nearest is {near[0]}"
        if words:
            said.append(f"row {row} names {name!r}, {words}")
        remedy = "check that table and images belong together"
        if words and words.endswith("only"):
            remedy = "make the names equal"
            if "place (tranche" in words:
                remedy = "check that the tables and images of the tranches are not exchanged"
            elif "encoding" in words:
                remedy = "save the table, or pack the images, again with names in UTF-8"
        if counts.other_files:
            reasons = join.execute(
                "SELECT COUNT(*), reason FROM reject WHERE tranche = ? GROUP BY 2 ORDER BY 1 DESC",
                number,
            )
            said.append(
                f"{counts.other_files:,} files or folders were left out, see {report.rejects}: "
                + ", ".join(f"{count:,} x {reason}" for count, reason in reasons)
            )
        if tranche.images_dir and tranche.images_zip:
            said.append(f"{tranche.images_zip.name} beside the folder was not used")
        raise DataError("; ".join([*said, f"{remedy}."]))


def _doubts(join: sqlite3.Connection, report: MasterReport) -> Iterator[str]:
    """Warns of what is read, but may not be as it should be."""
    (links,) = join.execute(
        "SELECT COUNT(*) FROM reject WHERE reason = ?", (_LINKED_FOLDER,)
    ).fetchone()
    if links:
        yield (
            f"{links:,} links to folders among the images are not followed, so that nothing they"
            f" lead to is read: put the folders in their places. {report.rejects} names them."
        )
    name, words, nearly = join.execute("SELECT file_name, words, COUNT(*) FROM hint").fetchone()
    if nearly:
        yield (
            f"{nearly:,} labels have no image, but there is one with nearly their name, for example"
            f" {name!r}, {words}: make the names equal. {report.rejects} has them all."
        )
    if report.shared_clips:
        yield (
            f"{report.shared_clips:,} clips appear in more than one tranche; the splits keep each"
            " clip together, but the metrics of these tranches are not independent."
        )
    yield from grouping.doubts(join, report.tranches)


def _master_rows(join: sqlite3.Connection) -> Iterator[list[object]]:
    """Yields `MASTER_COLUMNS` for every label with its image."""
    return map(
        harmless,
        join.execute(
            f"""
            SELECT {", ".join(features.MASTER_COLUMNS)} FROM master ORDER BY tranche, file_name
            """  # noqa: S608 -- the columns are constants
        ),
    )


def _reject_rows(join: sqlite3.Connection) -> Iterator[list[object]]:
    """Yields `REPORT_COLUMNS` for everything that is not in the master table."""
    return map(
        harmless,
        join.execute(
            """
            SELECT l.tranche, l.file_name, l.source, l.row,
                'no image has this name' || COALESCE('; ' || h.words, '')
            FROM label l LEFT JOIN hint h USING (file_name)
            WHERE (l.tranche, l.file_name) NOT IN (SELECT tranche, file_name FROM master)
            UNION ALL
            SELECT i.tranche, i.file_name, NULL, NULL, 'no row names this image'
            FROM image i
            WHERE (i.tranche, i.file_name) NOT IN (SELECT tranche, file_name FROM label)
            UNION ALL
            SELECT tranche, file_name, NULL, NULL, reason FROM reject
            ORDER BY 1, 2, 5
            """
        ),
    )


def _contradictory_rows(join: sqlite3.Connection) -> Iterator[list[object]]:
    """Yields `REPORT_COLUMNS` for every contradiction; a row may hold both."""
    known = ", ".join(f"'{posture}'" for posture in features.POSTURES)
    return map(
        harmless,
        join.execute(
            f"""
            SELECT tranche, file_name, source, row, '{POSTURE_WITHOUT_PERSON}' FROM label
            WHERE primary_posture IN ({known}) AND how_many = 'None'
            UNION ALL
            SELECT tranche, file_name, source, row, '{BAD_IMAGE_WITH_POSTURE}' FROM label
            WHERE primary_posture IN ({known}) AND exception_case = 'Bad Image'
            ORDER BY 1, 4, 5
            """  # noqa: S608 -- the values are constants
        ),
    )


def _write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with replacing(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
