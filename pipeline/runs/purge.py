"""Removes images, and what was made from them, from an output folder.

What the next run makes again is deleted whole. Models and their metrics are kept and named:
whether a model may stay in service is for people to decide.
"""

import csv
import html
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from components.errors import DataError, InputError
from components.files import replacing
from components.ingest import master, tfrecords
from components.ingest.labels import clip_of
from components.ingest.spreadsheet import original
from pipeline.config import PipelineConfig
from pipeline.runs import descent, snapshot
from schema import features

PURGED: Final = "(purged)"  # takes the place of a name
_TABLES: Final = (master.MASTER_NAME, master.REJECTS_NAME, master.CONTRADICTIONS_NAME)

# Files that people read; runs, exports and clusters leave them all over the output folder.
_TEXTS: Final = frozenset(
    {".csv", ".err", ".json", ".jsonl", ".log", ".md", ".out", ".sh", ".toml", ".txt"}
)


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
        return clip_of(file_name) == self.clip

    @property
    def feature(self) -> tuple[str, str]:
        """The column of examples that identifies it, and its value there."""
        if self.clip is not None:
            return features.CLIP, self.clip
        assert self.tranche is not None  # noqa: S101 (for the type checker)
        return features.TRANCHE, self.tranche


@dataclass
class Plan:
    """What a purge will do.

    Attributes:
      delete: files and folders to delete.
      tables: CSV tables that lose rows, and how many.
      names: file names of the images, as far as the output folder knows them.
      texts: text files to remove these names from.
      lineage: what ML Metadata says was made from the images.
    """

    delete: list[Path] = field(default_factory=list)
    tables: dict[Path, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    texts: list[Path] = field(default_factory=list)
    lineage: descent.Descent = field(default_factory=descent.Descent)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.delete or self.tables or self.texts or self.lineage.artifacts)


def plan(config: PipelineConfig, target: Target) -> Plan:
    """Finds everything there is of a clip or tranche. Changes nothing.

    Args:
      config: says where the output folder and the metadata are.
      target: what to remove.

    Raises:
      InputError: something cannot be read.
      DataError: one of the CSV tables is damaged.
    """
    made = Plan()
    data = config.data_dir
    for name in _TABLES:
        found = _rows_of(data / name, target)
        if found:
            made.tables[data / name] = len(found)
            made.names.update(found)
    for folder in sorted(path for path in (data / master.IMAGES_NAME).glob("*") if path.is_dir()):
        tranche = folder.name.rpartition("tranch")[2].partition(".")[0]
        files = [path for path in folder.rglob("*") if path.is_file()]
        mine = [path for path in files if target.has(tranche, path.name)]
        made.names.update(path.name for path in mine if clip_of(path.name))
        if target.clip is None and mine:
            marker = folder.with_name(f"{folder.name}.unzipped.json")
            mine = [folder, *([marker] if marker.exists() else [])]
        made.delete += mine
    pattern = descent.pattern(*target.feature)
    rejects = {
        folder: _rows_of(folder / tfrecords.REJECTS_NAME, target)
        for folder in sorted(config.tfrecords_dir.glob("*"))
    }
    made.names.update(name for names in rejects.values() for name in names)
    mentions = _mentions(target, made.names)
    for folder, names in rejects.items():
        # A killed ingestion leaves a staging folder, where the rows are readable.
        staged = any(map(mentions, folder.rglob(".rows-*")))
        if names or staged or descent.holds(folder, pattern):
            made.delete.append(folder)
    made.lineage = descent.trace(config, pattern)
    made.delete += [path for path in made.lineage.folders if path.exists()]
    if made.lineage.artifacts or made.delete:
        caches = (config.feature_cache_dir, config.training_backup_dir)
        made.delete += [path for path in (*caches, config.crossval_dir) if path.exists()]
    for run_id in snapshot.runs(config.output_root):
        page = snapshot.page_path(config.output_root, run_id)
        if page.exists() and (run_id in made.lineage.runs or mentions(page)):
            made.delete.append(page)
    made.texts = [path for path in _texts(config) if mentions(path)]
    # What other killed processes were writing.
    hidden = (path for path in sorted(config.output_root.rglob(".*")) if path.is_file())
    made.delete += [
        path for path in hidden if not any(map(path.is_relative_to, made.delete)) and mentions(path)
    ]
    return made


def _texts(config: PipelineConfig) -> Iterator[Path]:
    """Yields the text files of an output folder that stay, but for those with rows or artifacts.

    Artifacts are deleted as a whole or have no names; a changed one would count as damaged.
    """
    for place in sorted(config.output_root.glob("*")):
        if place in (config.data_dir, config.demo_dir, config.pipeline_root, config.seals_dir):
            continue
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in _TEXTS and path.is_file():
                yield path


def carry_out(planned: Plan, config: PipelineConfig) -> None:
    """Removes what was planned. If it is killed, a second purge removes the rest.

    Raises:
      InputError: something cannot be removed.
    """
    try:
        # Before the folders: no run may take a deleted one from the cache.
        descent.mark_deleted(config, planned.lineage.artifacts)
        for path in planned.delete:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        # The tables last: a second purge finds the rest by the names in them.
        without = _without(planned.names)
        for path in planned.texts:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
            with replacing(path, errors="surrogateescape", newline="") as file:
                file.write(without(text))
        for path in planned.tables:
            _drop_rows(path, planned.names)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be removed: {error.strerror}; correct that and purge again."
        ) from error


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


def _rows_of(table: Path, target: Target) -> list[str]:
    """Returns the names of the target's images in a table, one for each row."""
    rows = _read(table)
    if not rows:
        return []
    try:
        tranche, name = (rows[0].index(column) for column in ("tranche", features.FILE_NAME))
    except ValueError:
        raise DataError(f"{table} lacks the columns tranche and file_name; delete it.") from None
    cells = (original(row) for row in rows[1:] if len(row) == len(rows[0]))
    return [row[name] for row in cells if target.has(row[tranche], row[name])]


def _drop_rows(table: Path, names: set[str]) -> None:
    rows = _read(table)
    name = rows[0].index(features.FILE_NAME)
    kept = [row for row in rows if len(row) <= name or original([row[name]])[0] not in names]
    with replacing(table, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)  # cells are harmless already


def _mentions(target: Target, names: set[str]) -> Callable[[Path], bool]:
    """Returns whether a file mentions one of the images, also as HTML or JSON escape it."""
    stems = [f"{target.clip}_cat-1_"] if target.clip is not None else sorted(names)
    wanted = {
        spelling.encode(errors="surrogateescape")
        for stem in stems
        for spelling in (stem, html.escape(stem), json.dumps(stem)[1:-1])
    }

    def mentions(path: Path) -> bool:
        content = path.read_bytes()
        return any(spelling in content for spelling in wanted)

    return mentions


def _without(names: Iterable[str]) -> Callable[[str], str]:
    spellings = sorted({s for n in names for s in (n, json.dumps(n)[1:-1])}, key=len, reverse=True)
    if not spellings:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, spellings)))
    return lambda text: pattern.sub(PURGED, text)
