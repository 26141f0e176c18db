"""Deals the rows of tranch_master.csv out to shards, and sees which tranches have changed."""

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.errors import DataError, InputError
from components.ingest.spreadsheet import original
from schema import features

ROWS_PER_SHARD: Final = 250  # some 20 MB, and ten seconds of one core

_TRANCHE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Row = tuple[str, ...]  # the cells of MASTER_COLUMNS


@dataclass(frozen=True)
class Shard:
    """Rows that become one file; the element of the Beam job."""

    folder: Path
    index: int
    of: int
    base: Path  # folder that relative image paths start from

    @property
    def rows(self) -> Path:
        """What is to be written: a JSON list of rows."""
        return self.folder / f".rows-{self.index:05d}.json"

    @property
    def records(self) -> Path:
        """The examples."""
        return self.folder / f"images-{self.index:05d}-of-{self.of:05d}.tfrecord.gz"

    @property
    def outcome(self) -> Path:
        """What became of the rows."""
        return self.folder / f".outcome-{self.index:05d}.json"


class Staged:
    """A tranche's rows, put down in files of one shard each, and the hash of what counts.

    Attributes:
      folder: where they are, and where the tranche's new files are to be written.
      row_count: how many there are.
    """

    def __init__(self, folder: Path, base: Path, settings: object) -> None:
        folder.mkdir()
        self.folder = folder
        self.row_count = 0
        self._base = base
        self._hash = hashlib.sha256(json.dumps(settings).encode())
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        """Takes one more row."""
        self._waiting.append(row)
        self.row_count += 1
        self._hash.update(json.dumps([row, self._state(row)]).encode())
        if len(self._waiting) == ROWS_PER_SHARD:
            self.flush()

    def _state(self, row: Row) -> list[int]:
        """Size and time of change: reading the pictures would take as long as it saves."""
        try:
            status = os.stat(self._base / row[features.MASTER_COLUMNS.index(features.FILE_PATH)])
        except (OSError, ValueError):
            return []  # the conversion says what is wrong with it
        return [status.st_size, status.st_mtime_ns]

    def flush(self) -> None:
        """Writes down what waits for its shard to be full; called once more at the end."""
        if self._waiting:
            shard = Shard(self.folder, (self.row_count - 1) // ROWS_PER_SHARD, 0, self._base)
            shard.rows.write_text(json.dumps(self._waiting))
            self._waiting = []

    @property
    def digest(self) -> str:
        """SHA-256 of the settings, the rows and the state of their pictures."""
        return self._hash.hexdigest()

    @property
    def shards(self) -> list[Shard]:
        """The units of work."""
        count = -(-self.row_count // ROWS_PER_SHARD)
        return [Shard(self.folder, index, count, self._base) for index in range(count)]


def stage(master_csv: Path, staging: Path, settings: object) -> dict[str, Staged]:
    """Deals the rows out to their tranches, without holding more of them than a shard's.

    Args:
      master_csv: the table that `lookdeep master` writes.
      staging: an empty folder; gets one folder a tranche.
      settings: what the tranches' files will depend on besides rows and pictures.

    Returns:
      The tranches by name, in the order of their first rows.

    Raises:
      InputError: the table cannot be read.
      DataError: the table is not what `lookdeep master` writes.
    """
    base = master_csv.resolve().parent
    tranches: dict[str, Staged] = {}
    for row in _rows(master_csv):
        name = row[features.MASTER_COLUMNS.index(features.TRANCHE)]
        if name not in tranches:
            tranches[name] = Staged(staging / name, base, settings)
        tranches[name].add(row)
    for staged in tranches.values():
        staged.flush()
    if not tranches:
        raise DataError(f"{master_csv} has no rows; check the data root of `lookdeep master`.")
    return tranches


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
                    f"{master_csv} lacks the column {missing[0]}; write it anew with"
                    " `lookdeep master`."
                )
            places = [header.index(name) for name in features.MASTER_COLUMNS]
            for number, cells in enumerate(reader, start=2):
                if not cells:
                    continue  # an empty last line, as editors leave it
                if len(cells) != len(header):
                    raise DataError(
                        f"Row {number} of {master_csv} has {len(cells)} cells instead of"
                        f" {len(header)}; write the table anew with `lookdeep master`."
                    )
                row = tuple(original(cells[place] for place in places))
                if not _TRANCHE_NAME.fullmatch(row[tranche_place]):
                    raise DataError(
                        f"Row {number} of {master_csv} has the tranche {row[tranche_place]!r}; use"
                        " letters, digits, points, dashes and underscores, because it names a"
                        " folder."
                    )
                yield row
    except FileNotFoundError:
        raise InputError(f"There is no {master_csv}; write it with `lookdeep master`.") from None
    except OSError as error:
        raise InputError(f"{master_csv} cannot be read: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{master_csv} is not a CSV table in UTF-8 ({error}); write it anew with"
            " `lookdeep master`."
        ) from error
