"""Files that are whole or not there."""

from pathlib import Path

import pytest

from components import files


def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "table.csv"
    place.write_text("old")
    with files.replacing(place) as file:
        file.write("né")
        assert place.read_text() == "old"
    assert place.read_text(encoding="utf-8") == "né"
    with files.replacing(place, "wb") as file:
        file.write(b"\0")
    assert place.read_bytes() == b"\0"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "table.csv"
    place.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(place) as file:
        file.write("new")
        raise ZeroDivisionError
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_others_cannot_read_what_is_made(tmp_path: Path) -> None:
    with files.owner_only():
        (tmp_path / "secret").mkdir()
        with files.replacing(tmp_path / "secret" / "file") as file:
            file.write("x")
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secret" / "file").stat().st_mode & 0o077 == 0
