"""The command `lookdeep purge`: removes images, and what was made from them, from an output folder.

What can be made again without them is deleted whole: the next run makes it. What cannot, the
models, stays and is named: whether it may go on in service is a decision for people.
"""

import csv
import html
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from components.errors import DataError, InputError
from components.ingest import master, tfrecords
from components.ingest.labels import clip_of
from components.ingest.spreadsheet import original
from pipeline.commands.cli import output_root_option
from pipeline.config import PipelineConfig
from pipeline.process.launcher import output_folder
from pipeline.runs import descent, snapshot
from schema import features

PURGED: Final = "(purged)"
_TABLES: Final = (master.MASTER_NAME, master.REJECTS_NAME, master.CONTRADICTIONS_NAME)


@dataclass(frozen=True)
class Target:
    """What is to go: a clip, or a tranche. One of the two is None."""

    clip: str | None
    tranche: str | None

    def __str__(self) -> str:
        return f"clip {self.clip}" if self.clip is not None else f"tranche {self.tranche}"

    def has(self, tranche: str, file_name: str) -> bool:
        """Whether an image belongs to it."""
        if self.clip is None:
            return tranche == self.tranche
        return clip_of(file_name) == self.clip

    @property
    def feature(self) -> tuple[str, str]:
        """The column that tells its examples, and its value there."""
        if self.clip is not None:
            return features.CLIP, self.clip
        assert self.tranche is not None  # noqa: S101 (for the type checker)
        return features.TRANCHE, self.tranche


@dataclass
class Plan:
    """What a purge does.

    Attributes:
      delete: files and folders that go.
      tables: CSV tables that lose rows, and how many.
      names: names of the images, where the output folder knows them.
      texts: files from which these names go.
      lineage: what ML Metadata knows that comes from them.
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


@click.command()
@click.option("--clip", help="Name of the clip: what stands before _cat-1_ in its images' names.")
@click.option("--tranche", help="Number of the tranche.")
@output_root_option("Output folder to remove it from.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(
    clip: str | None, tranche: str | None, output_root: Path, dry_run: bool, yes: bool
) -> None:
    """Remove a clip or a tranche and everything made from it, and name the models trained on it.

    Removed are images, rows of tables, TFRecords, artifacts and caches that hold examples,
    and review pages. Models, metrics and the folder that the data came from stay.
    """
    if (clip is None) == (tranche is None):
        raise InputError("Name either a --clip or a --tranche.")
    config = snapshot.settings(output_root.absolute())
    if not config.output_root.is_dir():
        raise InputError(f"There is no output folder {config.output_root}.")
    target = Target(clip, tranche)
    with output_folder(config):
        planned = plan(config, target)
        if planned.is_empty:
            raise InputError(f"{config.output_root} holds nothing of {target}; check its name.")
        show(planned, config.output_root, target)
        if dry_run:
            click.echo("Nothing was removed: this was a dry run.")
            return
        if not yes:
            click.confirm("Remove all this for good?", abort=True)
        carry_out(planned, config)
    click.echo(
        f"Removed {target}. Remove it from the folder or archive that the data came from, too:"
        " the next run reads that again."
    )


def plan(config: PipelineConfig, target: Target) -> Plan:
    """Finds all that is there of a clip or tranche. Changes nothing.

    Raises:
      InputError: something cannot be read.
      DataError: a table is none.
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
    for folder in sorted(config.tfrecords_dir.glob("*")):
        rejects = _rows_of(folder / tfrecords.REJECTS_NAME, target)
        made.names.update(rejects)
        if rejects or descent.holds(folder, pattern):
            made.delete.append(folder)
    made.lineage = descent.trace(config, pattern)
    made.delete += [path for path in made.lineage.folders if path.exists()]
    if made.lineage.artifacts or made.delete:
        caches = (config.feature_cache_dir, config.pipeline_root / "training_backup")
        made.delete += [
            path for path in (*caches, config.output_root / "crossval") if path.exists()
        ]
    mentions = _mentions(target, made.names)
    for run_id in snapshot.runs(config.output_root):
        page = snapshot.page_path(config.output_root, run_id)
        if page.exists() and (run_id in made.lineage.runs or mentions(page)):
            made.delete.append(page)
    texts = [
        config.record_path,
        *sorted(config.logs_dir.glob("*.log")),
        *sorted((config.output_root / "review").glob("*/*.json")),
        *sorted((config.output_root / "review").glob("*/*.md")),
    ]
    made.texts = [path for path in texts if path.is_file() and mentions(path)]
    return made


def show(planned: Plan, output_root: Path, target: Target) -> None:
    """Prints what a purge does, and which models were made with what goes."""

    def inside(path: Path) -> str:
        return str(path.relative_to(output_root)) if path.is_relative_to(output_root) else str(path)

    click.echo(f"Of {target}, {output_root} holds {len(planned.names):,} names of images. To go:")
    for path, rows in planned.tables.items():
        click.echo(f"  {rows:,} rows of {inside(path)}")
    for path in planned.delete:
        click.echo(f"  {inside(path)}{'/' if path.is_dir() else ''}")
    for path in planned.texts:
        click.echo(f"  the names in {inside(path)}")
    for model in planned.lineage.models:
        what = "was trained on it" if model.trained else "was tested on it, not trained"
        where = f", pushed to {', '.join(model.pushed)}" if model.pushed else ""
        click.echo(f"Model {model.id} {what}{where}. It stays: {model.uri}")
    if not planned.lineage.models:
        click.echo("No model in this folder was trained on it.")


def carry_out(planned: Plan, config: PipelineConfig) -> None:
    """Removes what was planned. Killed in the midst, it is simply done again."""
    try:
        # Before the folders: no run may take a deleted one for cached.
        descent.mark_deleted(config, planned.lineage.artifacts)
        for path in planned.delete:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        # The names last: with them the rest is found.
        replace = _replacing(planned.names)
        for path in planned.texts:
            _rewrite(path, replace(path.read_text(encoding="utf-8", errors="surrogateescape")))
        for path in planned.tables:
            _drop_rows(path, planned.names)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be removed: {error.strerror}; mend that and purge again."
        ) from error


def _read(table: Path) -> list[list[str]]:
    if not table.is_file():
        return []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{table} is not a CSV table in UTF-8 ({error}); mend or delete it."
        ) from error


def _rows_of(table: Path, target: Target) -> list[str]:
    """The names of the target's images in a table, one for each row."""
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
    part = table.with_name(f".{table.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)  # cells are harmless already
    part.replace(table)


def _mentions(target: Target, names: set[str]) -> Callable[[Path], bool]:
    """Whether a file mentions one of the images, also as HTML or JSON writes them."""
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


def _replacing(names: Sequence[str] | set[str]) -> Callable[[str], str]:
    spellings = sorted({s for n in names for s in (n, json.dumps(n)[1:-1])}, key=len, reverse=True)
    if not spellings:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, spellings)))
    return lambda text: pattern.sub(PURGED, text)


def _rewrite(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", errors="surrogateescape")
    part.replace(path)
