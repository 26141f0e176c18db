"""Checks that the SQLite file of ML Metadata can be used, before a run relies on it.

ML Metadata would fail in the middle of the run, with the words of its C++ code.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from components.errors import InputError

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
    aside = "move it away and run again; everything is then made again"
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
