"""Databases of runs that cannot be used, each named in a sentence before a run begins."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.errors import InputError
from pipeline.runs import lineage, metadata_file


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """As ML Metadata makes it."""
    path = tmp_path / "metadata.sqlite"
    mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    metadata_store.MetadataStore(lineage.sqlite(path, mode))
    return path


def test_a_new_folder_and_a_sound_database_pass(database: Path) -> None:
    metadata_file.check(database)
    metadata_file.check(database.with_name("not there yet"))


def test_a_locked_one_says_so(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_file, "_PATIENCE", 0.1)
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputError, match="another program holds it"):
        metadata_file.check(database)
    holder.execute("ROLLBACK")
    metadata_file.check(database)
    holder.close()


@pytest.mark.parametrize("tenths", range(10))
def test_a_truncated_one_says_so(database: Path, tenths: int) -> None:
    os.truncate(database, database.stat().st_size * tenths // 10)
    with pytest.raises(InputError, match="move it away"):
        metadata_file.check(database)


def test_something_else_says_so(database: Path) -> None:
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="move it away"):
        metadata_file.check(database)


def test_a_newer_one_says_so(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE MLMDEnv SET schema_version = 11")
    connection.close()
    with pytest.raises(InputError, match="has the schema 11, and this version reads 10"):
        metadata_file.check(database)


def test_a_read_only_one_says_so(database: Path) -> None:
    database.chmod(0o444)
    database.parent.chmod(0o555)
    code = "import sys; from pathlib import Path; from pipeline.runs import metadata_file\n"
    code += "metadata_file.check(Path(sys.argv[1]))"
    if os.geteuid() == 0:  # whom no mode keeps from writing
        for folder in database.parents[1:-2]:
            folder.chmod(folder.stat().st_mode | 0o055)
        code = f"import os; import pipeline.runs.metadata_file; os.setuid(65534)\n{code}"
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True
    )
    assert "it cannot be written; make it and its folder writable" in done.stderr


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_one_that_is_linked_to_another_becomes_a_file_of_its_own(
    database: Path, link: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "backup.sqlite"
    link(database, path)
    metadata_file.own(path)
    before = database.read_bytes()
    assert path.read_bytes() == before and not path.is_symlink()
    path.write_bytes(b"other")
    assert database.read_bytes() == before
    metadata_file.own(tmp_path / "not there yet")
