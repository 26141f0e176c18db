"""Checks that the SQLite file of ML Metadata can be used, before a run relies on it.

ML Metadata would fail in the middle of the run, with the words of its C++ code.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from components.errors import InputError
from components.files import replacing
from pipeline.config import PipelineConfig

_SCHEMA: Final = 10  # of ml-metadata 1.16
_PATIENCE: Final = 5.0  # seconds to wait for a reader that holds the file


def check(path: Path) -> None:
    """Refuses a database that a run could not read and write.

    Args:
      path: the file; ML Metadata makes one that is missing.

    Raises:
      InputError: it is damaged, of another version, locked or read-only.
    """
    if not path.exists():
        return
    aside = (
        "move it away, and the folder artifacts beside it, and run again; everything is then made"
        " again"
    )
    try:
        # isolation_level=None: the transaction is ours, not Python's.
        database = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=_PATIENCE, isolation_level=None
        )
        with closing(database):
            database.execute("BEGIN IMMEDIATE")
            # Only a write shows whether the file can be written.
            database.execute("UPDATE MLMDEnv SET schema_version = schema_version")
            (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
            versions = database.execute("SELECT schema_version FROM MLMDEnv").fetchall()
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            words = "another program holds it; wait for it, or end it"
        elif "readonly" in str(error) or "unable to open" in str(error):
            words = "it cannot be written; make it and its folder writable"
        else:
            words = aside
        raise InputError(
            f"The database of runs {path} cannot be used ({error}): {words}."
        ) from None
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"The database of runs {path} cannot be used ({error}): {aside}."
        ) from None
    if state != "ok" or len(versions) != 1:
        raise InputError(f"The database of runs {path} is damaged ({state}): {aside}.")
    ((version,),) = versions
    if version != _SCHEMA:
        raise InputError(
            f"The database of runs {path} has the schema {version}, and this version reads"
            f" {_SCHEMA}: use the environment that wrote it, or another --output-root."
        )


def artifact_folders(config: PipelineConfig) -> Iterator[Path]:
    """Yields the folders of artifacts, NODE/KEY/EXECUTION, whether or not a database knows them."""
    for folder in sorted(config.pipeline_root.glob("[!.]*/[!.]*/*")):
        if folder.name.isdecimal() and not folder.is_relative_to(config.training_backup_dir):
            yield folder


def check_age(config: PipelineConfig) -> None:
    """Refuses a database that is older than the artifacts beside it, as after a partial restore.

    TFX numbers executions on from the database, and would write into the folders of others.

    Args:
      config: says where both are; the file may be missing.

    Raises:
      InputError: there are artifacts of later executions.
    """
    path, last = config.metadata_path, 0
    if path.exists():
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            (last,) = database.execute("SELECT IFNULL(MAX(id), 0) FROM Execution").fetchone()
    latest = max(artifact_folders(config), key=lambda folder: int(folder.name), default=None)
    if latest and int(latest.name) > last:
        raise InputError(
            f"The database of runs {path} is missing, or older than the artifacts beside it: it"
            f" does not know {latest}. Put back the newer one, or move {config.pipeline_root}"
            " away and run again; everything is then made again."
        )


def own(path: Path) -> None:
    """Makes a database that is linked to from other folders, as backups do, the folder's own.

    SQLite writes into the file itself, so the others would change with it.

    Args:
      path: the file; it may be missing.
    """
    if path.exists() and (path.is_symlink() or path.stat().st_nlink > 1):
        with path.open("rb") as shared, replacing(path, "wb") as file:
            shutil.copyfileobj(shared, file)
