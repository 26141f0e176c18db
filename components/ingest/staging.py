"""Splits the rows of tranch_master.csv into shards, and hashes what each tranche depends on."""

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from components.errors import DataError, InputError
from components.ingest.spreadsheet import original
from schema import features

ROWS_PER_SHARD: Final = 250  # some 20 MB, and ten seconds of one core

# Of a table of rejected rows: what identifies a row, and why it was rejected.
REJECT_COLUMNS: Final = (features.TRANCHE, features.FILE_NAME, features.FILE_PATH, "reason")

_TRANCHE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Row = tuple[str, ...]  # the cells of MASTER_COLUMNS


@dataclass(frozen=True)
class Shard:
    """Rows that become one file of records. All paths work on every worker.

    Attributes:
      folder: the staged folder of the tranche.
      index: number of the shard, from 0.
      of: how many shards the tranche has.
      base: folder that relative image paths start from.
    """

    PROGRESS: ClassVar[str] = ".progress-"

    folder: Path
    index: int
    of: int
    base: Path

    @property
    def rows(self) -> Path:
        """Input: a JSON list of rows."""
        return self.folder / f".rows-{self.index:05d}.json"

    @property
    def records(self) -> Path:
        """Output: the examples."""
        return self.folder / f"images-{self.index:05d}-of-{self.of:05d}.tfrecord.gz"

    @property
    def outcome(self) -> Path:
        """Output: written rows by posture, and rejected rows with their reasons."""
        return self.folder / f".outcome-{self.index:05d}.json"

    @property
    def progress(self) -> Path:
        """Has one byte for each row that is done."""
        return self.folder / f"{self.PROGRESS}{self.index:05d}"


@dataclass(frozen=True)
class ShardedFolder:
    """The staged folder of a tranche; the element of the Beam job.

    Attributes:
      folder: has the rows of the shards, and gets the tranche's new files.
      base: folder that relative image paths start from.
      row_count: rows of all shards.
      digest: SHA-256 of the settings, the rows and the state of their pictures.
    """

    folder: Path
    base: Path
    row_count: int
    digest: str

    def shards(self) -> list[Shard]:
        """Returns the units of work, in the order of the rows."""
        count = -(-self.row_count // ROWS_PER_SHARD)
        return [Shard(self.folder, index, count, self.base) for index in range(count)]


class _Stager:
    """Writes the rows of one tranche to files of one shard each."""

    def __init__(self, folder: Path, base: Path, settings: object) -> None:
        folder.mkdir()
        self._folder = folder
        self._base = base
        self._row_count = 0
        self._hash = hashlib.sha256(json.dumps(settings).encode())
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        self._row_count += 1
        self._hash.update(json.dumps([row, self._state(row)]).encode())
        if len(self._waiting) == ROWS_PER_SHARD:
            self._flush()

    def finish(self) -> ShardedFolder:
        self._flush()
        return ShardedFolder(self._folder, self._base, self._row_count, self._hash.hexdigest())

    def _state(self, row: Row) -> list[int]:
        """Returns size and time of change; reading pictures would take as long as it saves."""
        try:
            status = os.stat(self._base / row[features.MASTER_COLUMNS.index(features.FILE_PATH)])
        except (OSError, ValueError):
            return []  # the conversion says what is wrong with it
        return [status.st_size, status.st_mtime_ns]

    def _flush(self) -> None:
        if self._waiting:
            index = (self._row_count - 1) // ROWS_PER_SHARD
            shard = Shard(self._folder, index, of=0, base=self._base)  # how many is not known yet
            shard.rows.write_text(json.dumps(self._waiting))
            self._waiting = []


def stage(master_csv: Path, staging: Path, settings: object) -> dict[str, ShardedFolder]:
    """Splits the rows by tranche and shard; keeps at most one shard of each tranche in memory.

    Args:
      master_csv: the table that `lookdeep master` writes.
      staging: an empty folder; gets one folder a tranche.
      settings: what the tranches' files will depend on besides rows and pictures; becomes JSON.

    Returns:
      The tranches by name, in the order of their first rows.

    Raises:
      InputError: the table cannot be read.
      DataError: the table is not what `lookdeep master` writes.
    """
    base = master_csv.resolve().parent
    tranches: dict[str, _Stager] = {}
    for row in _rows(master_csv):
        name = row[features.MASTER_COLUMNS.index(features.TRANCHE)]
        if name not in tranches:
            tranches[name] = _Stager(staging / name, base, settings)
        tranches[name].add(row)
    if not tranches:
        raise DataError(f"{master_csv} has no rows; check the data root of the command master.")
    return {name: stager.finish() for name, stager in tranches.items()}


def _rows(master_csv: Path) -> Iterator[Row]:
    """Yields the cells of MASTER_COLUMNS of each row."""
    tranche_place = features.MASTER_COLUMNS.index(features.TRANCHE)
    try:
        with master_csv.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            missing = [name for name in features.MASTER_COLUMNS if name not in header]
            if missing:
                raise DataError(
                    f"{master_csv} lacks the column {missing[0]}; write it again with the"
                    " command master."
                )
            places = [header.index(name) for name in features.MASTER_COLUMNS]
            for number, cells in enumerate(reader, start=2):
                if not cells:
                    continue  # an empty last line, as editors leave it
                if len(cells) != len(header):
                    raise DataError(
                        f"Row {number} of {master_csv} has {len(cells)} cells instead of"
                        f" {len(header)}; write the table again with the command master."
                    )
                row = tuple(original(cells[place] for place in places))
                if not _TRANCHE_NAME.fullmatch(row[tranche_place]):
                    raise DataError(
                        f"Row {number} of {master_csv} has the tranche {row[tranche_place]!r}; use"
                        " letters, digits, dots, dashes and underscores, because it names a"
                        " folder."
                    )
                yield row
    except FileNotFoundError:
        raise InputError(f"There is no {master_csv}; write it with the command master.") from None
    except OSError as error:
        raise InputError(f"{master_csv} cannot be read: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{master_csv} is not a CSV table in UTF-8 ({error}); write it again with the"
            " command master."
        ) from error
