"""Removes images, and what was made from them, from an output folder.

What the next run makes again is deleted whole. Models and their metrics are kept and named:
whether a model may stay in service is for people to decide.
"""

import csv
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components.errors import DataError, InputError
from components.files import replacing
from components.ingest import master, tfrecords
from components.ingest.spreadsheet import original
from pipeline.config import PipelineConfig
from pipeline.runs import descent, snapshot
from pipeline.runs.names import MARK, PAGE, TEXTS, Names, forms
from schema import features

_TABLES: Final = (master.MASTER_NAME, master.REJECTS_NAME, master.CONTRADICTIONS_NAME)


@dataclass(frozen=True)
class Target:
    """What to remove: a clip or a tranche. The other one is None."""

    clip: str | None
    tranche: str | None

    def __str__(self) -> str:
        return f"clip {self.clip}" if self.clip is not None else f"tranche {self.tranche}"

    def has(self, tranche: str, file_name: str) -> bool:
        """Whether an image belongs to the clip or tranche."""
        if self.clip is None:
            return tranche == self.tranche
        return _same(_clip(file_name), self.clip)

    @property
    def patterns(self) -> list[bytes]:
        """What its examples contain, one of these each."""
        if self.clip is not None:
            return [descent.pattern(features.CLIP, form) for form in forms(self.clip)]
        assert self.tranche is not None  # noqa: S101 (for the type checker)
        return [descent.pattern(features.TRANCHE, self.tranche)]


def _clip(file_name: str) -> str:
    """The clip that a file belongs to, also if it is no image: a film, or what macOS adds to it."""
    name = file_name.removeprefix("._")
    return name.rpartition(MARK)[0] or Path(name).stem


def _same(one: str, other: str) -> bool:
    """Whether two names are equal, whichever way their accents are written."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


@dataclass
class Plan:
    """What a purge will do.

    Attributes:
      delete: files and folders to delete.
      tables: CSV tables that lose rows, and how many.
      images: file names of the images, as far as the output folder knows them.
      names: to find and remove these names with.
      texts: text files to remove these names from.
      left: files that have the names and are not the product's to change or delete.
      lineage: what ML Metadata says was made from the images.
    """

    delete: list[Path] = field(default_factory=list)
    tables: dict[Path, int] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    names: Names = field(default_factory=lambda: Names((), ()))
    texts: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    lineage: descent.Descent = field(default_factory=descent.Descent)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the images was found."""
        return not (self.delete or self.tables or self.texts or self.left or self.lineage.artifacts)


def plan(config: PipelineConfig, target: Target) -> Plan:
    """Finds everything there is of a clip or tranche. Changes nothing.

    Args:
      config: says where the output folder and the metadata are.
      target: what to remove.

    Raises:
      InputError: something cannot be read.
      DataError: one of the CSV tables is damaged.
    """
    made, others = Plan(), set[str]()

    def is_mine(tranche: str, file_name: str) -> bool:
        mine = target.has(tranche, file_name)
        (made.images if mine else others).add(file_name)
        return mine

    def rows_of(table: Path) -> list[dict[str, str]]:
        return [row for row in _rows(table) if is_mine(row["tranche"], row[features.FILE_NAME])]

    paths = set[Path]()  # the image of a label may be named a little differently
    for table in (config.data_dir / name for name in _TABLES):
        if found := rows_of(table):
            made.tables[table] = len(found)
            paths.update(config.data_dir / row.get("file_path", "") for row in found)
    for folder in _folders(config.data_dir / master.IMAGES_NAME):
        tranche = folder.name.rpartition("tranch")[2].partition(".")[0]
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        images = [path for path in files if is_mine(tranche, path.name) or path in paths]
        made.images.update(path.name for path in images)
        if target.clip is None and images:
            marker = folder.with_name(f"{folder.name}.unzipped.json")
            images = [folder, *([marker] if marker.exists() else [])]
        made.delete += images
    patterns = target.patterns
    for folder in _folders(config.tfrecords_dir):
        if rows_of(folder / tfrecords.REJECTS_NAME) or descent.holds(folder, *patterns):
            made.delete.append(folder)
    made.names = _names(target, made.images, others)
    made.lineage = descent.trace(config, *patterns)
    made.delete += [path for path in made.lineage.folders if path.exists()]
    pages = (snapshot.page_path(config.output_root, run) for run in sorted(made.lineage.runs))
    made.delete += [page for page in pages if page.exists()]
    _look_through(config, made)
    abandoned = made.lineage.abandoned
    if (
        made.lineage.artifacts
        or made.delete
        or made.tables
        or any(descent.holds(folder, *patterns) for folder in abandoned)
    ):
        # Nobody can say from which images these are, and no run is lost without them.
        caches = (config.feature_cache_dir, config.training_backup_dir, config.crossval_dir)
        made.delete += [path for path in (*abandoned, *caches) if path.exists()]
    made.delete = list(dict.fromkeys(made.delete))
    return made


def _names(target: Target, images: set[str], others: set[str]) -> Names:
    """What to look for: of a clip also frames that nobody knows any more."""
    if target.clip is None:
        return Names(images, others)
    odd = {name for name in images if not _same(name.rpartition(MARK)[0], target.clip)}
    return Names({target.clip + MARK, *odd}, {_clip(name) + MARK for name in others})


def _look_through(config: PipelineConfig, made: Plan) -> None:
    """Plans what becomes of the other files that have one of the names."""
    for path in remaining(config, made.names, {*made.delete, *made.tables}):
        inside = path.relative_to(config.output_root).parts
        folder = config.output_root.joinpath(*inside[:4])  # of an artifact, if it is in one
        artifact = made.lineage.known.get(folder)
        if artifact and artifact.type not in descent.KEPT:
            if folder not in made.delete:
                made.lineage.artifacts.append(artifact.id)
                made.delete.append(folder)
        elif path.name.endswith("_labels.csv"):  # somebody has a data root in there
            made.left.append(path)
        elif path == config.metadata_path or path.suffix in TEXTS:
            made.texts.append(path)
            if artifact:  # it would count as damaged
                made.delete.append(config.seals_dir / f"{artifact.id}.json")
        elif (
            path.suffix == PAGE
            or any(part.startswith(".") for part in inside)  # what killed processes were writing
            or (path.is_relative_to(config.pipeline_root) and not artifact)
        ):
            made.delete.append(path)
        else:
            made.left.append(path)


def remaining(
    config: PipelineConfig, names: Names, without: AbstractSet[Path] = frozenset()
) -> Iterator[Path]:
    """Yields the files of an output folder that have one of the names.

    Unzipped images and TFRecords are left out, as `plan` looks through them by itself; so are
    caches, which hold no names, and the demo's tranches, which are its data root.

    Args:
      config: says where the output folder is.
      names: to look for.
      without: files and folders to leave out.
    """
    left_out = without | {
        config.demo_dir,
        config.data_dir / master.IMAGES_NAME,
        config.feature_cache_dir,
        config.training_backup_dir,
    }
    for parent, folders, files in os.walk(config.output_root):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if here / name not in left_out)
        has_records = here.is_relative_to(config.tfrecords_dir) or here.is_relative_to(
            config.pipeline_root
        )
        for path in (here / name for name in sorted(files)):
            if path in left_out or not path.is_file() or (has_records and path.suffix == ".gz"):
                continue
            if names.in_file(path):
                yield path


def carry_out(planned: Plan, config: PipelineConfig, target: Target) -> list[Path]:
    """Removes what was planned. If it is killed, a second purge removes the rest.

    Args:
      planned: by `plan`.
      config: as there.
      target: as there.

    Returns:
      The files that have one of the names all the same.

    Raises:
      InputError: something cannot be removed.
    """
    from pipeline.runs import lineage

    try:
        # Before the folders: no run may take a deleted one from the cache.
        descent.mark_deleted(config, planned.lineage.artifacts)
        for path in planned.delete:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
                _remove_empty(path.parent, config.data_dir / master.IMAGES_NAME)
        without = planned.names.without
        if config.metadata is not None or config.metadata_path in planned.texts:
            lineage.rewrite(config, without)
        for path in planned.texts:
            if path != config.metadata_path:
                text = path.read_text(encoding="utf-8", errors="surrogateescape")
                with replacing(path, errors="surrogateescape", newline="") as file:
                    file.write(without(text))
        # The tables last: a second purge finds the rest by the names in them.
        for path in planned.tables:
            _drop_rows(path, target, without)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be removed: {error.strerror}; correct that and purge again."
        ) from error
    return list(remaining(config, planned.names))


def _folders(place: Path) -> list[Path]:
    folders = (path for path in place.glob("*") if path.is_dir())
    return sorted(folders, key=lambda folder: features.tranche_order(folder.name))


def _remove_empty(folder: Path, top: Path) -> None:
    """Removes folders below `top` that are empty now: archives may have one for each clip."""
    while folder != top and folder.is_relative_to(top) and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _read(table: Path) -> list[list[str]]:
    if not table.is_file():
        return []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{table} is not a CSV table in UTF-8 ({error}); correct or delete it."
        ) from error


def _rows(table: Path) -> Iterator[dict[str, str]]:
    """Yields the rows of a table, cells by column."""
    header, *rows = _read(table) or [[]]
    if header and not {"tranche", features.FILE_NAME} <= set(header):
        raise DataError(f"{table} lacks the columns tranche and file_name; delete it.")
    for row in rows:
        if len(row) == len(header):
            yield dict(zip(header, original(row), strict=True))


def _drop_rows(table: Path, target: Target, without: Callable[[str], str]) -> None:
    """Removes the target's rows, and its names from the others: a reason may have one."""
    header, *rows = _read(table)
    tranche, name = header.index("tranche"), header.index(features.FILE_NAME)
    with replacing(table, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            cells = original(row)
            if len(row) != len(header) or not target.has(cells[tranche], cells[name]):
                writer.writerow(map(without, row))  # cells are harmless already
