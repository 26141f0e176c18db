"""Fixtures that write small data roots in the original layout, and read tables."""

import csv
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

HEADER = (
    "file_name",
    "how_many",
    "primary_posture",
    "primary_occluded",
    "staff_patient_other",
    "exception_case",
)


@pytest.fixture
def write_table() -> Callable[..., Path]:
    """Writes a label table; rows may be shorter than the header and are then filled up."""

    def write(
        path: Path,
        rows: Iterable[Iterable[str]],
        header: Iterable[str] = HEADER,
        encoding: str = "utf-8-sig",
    ) -> Path:
        header = tuple(header)
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for row in rows:
                cells = tuple(row)
                writer.writerow((*cells, *[""] * (len(header) - len(cells))))
        return path

    return write


@pytest.fixture
def write_zip() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Writes a zip of members by name."""

    def write(path: Path, members: Mapping[str, bytes]) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return write


@pytest.fixture
def read_csv() -> Callable[[Path], list[dict[str, str]]]:
    """Reads a CSV file that the product wrote."""

    def read(path: Path) -> list[dict[str, str]]:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read
