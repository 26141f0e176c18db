"""The commands around download and master, as a user gives them."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.errors import InputError
from pipeline.commands.download import download
from pipeline.commands.master import master


def test_downloads_and_joins(
    tmp_path: Path, write_table: Callable[..., Path], write_zip: Callable[..., Path]
) -> None:
    table = write_table(
        tmp_path / "labels.csv",
        [
            ("a_cat-1_0.png", "None", "Sitting", "", "", "Bad Image"),
            ("a_cat-1_1.png", "One", "Lying"),
        ],
    )
    images = write_zip(tmp_path / "images.zip", {"home/a_cat-1_0.png": b"1", "home/x.txt": b"1"})
    spec = tmp_path / "tranches.toml"
    zip_digest, table_digest = (
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (images, table)
    )
    spec.write_text(
        "[[tranche]]\nname = '1'\n"
        f"images = 'images.zip'\nimages_sha256 = '{zip_digest}'\n"
        f"labels = 'labels.csv'\nlabels_sha256 = '{table_digest}'\n"
    )
    root, out = str(tmp_path / "root"), str(tmp_path / "out")
    runner = CliRunner()
    fetched = runner.invoke(download, [str(spec), "--data-root", root])
    assert fetched.exit_code == 0
    assert f"{root}/persons-posture-tranch1.zip: fetched and checked" in fetched.stdout
    again = runner.invoke(download, [str(spec), "--data-root", root])
    assert again.stdout.count("exists already, checked") == 2

    joined = runner.invoke(master, ["--data-root", root, "--output-root", out])
    assert joined.exit_code == 0
    rows = [line.replace("│", " ").split() for line in joined.stdout.splitlines()]
    assert ["1", "2", "1", "1", "1", "0"] in rows  # rows, images, matched, without ...
    assert ["All", "1", "1", "1", "0", "0"] in rows  # rows, known posture, by posture
    assert "1 rows in 1 clips; 1 with a known posture; 0 in the selection" in joined.stdout
    assert joined.stdout.count("1 contradictory rows:") == 2
    assert "1 files among the images are not images." in joined.stdout
    for name in ("tranch_master.csv", "rejects.csv", "contradictions.csv"):
        assert f"{out}/data/{name}" in joined.stdout
        assert Path(out, "data", name).is_file()


def test_counts_the_real_tables_alone(shared_data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        master,
        [
            *("--data-root", str(shared_data / "labels"), "--output-root", str(tmp_path)),
            "--labels-only",
        ],
    )
    assert result.exit_code == 0
    assert (
        "40,787 rows in 14,785 clips; 36,428 with a known posture;"
        " 26,707 in the selection single_person." in result.stdout
    )
    assert "37 contradictory rows: primary_posture is known, but how_many" in result.stdout
    assert "66 contradictory rows: exception_case is Bad Image" in result.stdout
    assert "Matched" not in result.stdout


def test_says_that_clips_are_shared(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    for tranche in "12":
        write_table(tmp_path / f"tranch{tranche}_labels.csv", [(f"a_cat-1_{tranche}.png",)])
    result = CliRunner().invoke(
        master, ["--data-root", str(tmp_path), "--output-root", str(tmp_path), "--labels-only"]
    )
    assert "Warning: 1 clips appear in more than one tranche" in result.stdout


def test_a_users_error_is_left_to_the_group(tmp_path: Path) -> None:
    result = CliRunner().invoke(master, ["--data-root", str(tmp_path / "none")])
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize("command", [download, master])
def test_help_is_in_sentences(command: object) -> None:
    result = CliRunner().invoke(command, ["--help"])  # type: ignore[arg-type]
    assert result.exit_code == 0
    assert "Folder " in result.stdout


def test_nothing_here_loads_tensorflow() -> None:
    """It takes 12 s, and the first line has to be there within 3."""
    program = (
        "import sys, pipeline.commands.master, pipeline.commands.download;"
        "import components.ingest.master, components.ingest.download;"
        "print(sorted({'tensorflow', 'tfx', 'apache_beam', 'pandas'} & set(sys.modules)))"
    )
    loaded = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", program],
        cwd=Path(__file__).resolve().parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    assert loaded.stdout == "[]\n"
