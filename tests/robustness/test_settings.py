"""Wrong settings, files and folders: refused in one sentence with the key and what is allowed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from components.errors import InputError
from pipeline import config
from pipeline.cluster import settings as cluster
from pipeline.commands.run import run
from pipeline.config import PipelineConfig
from tests.robustness.conftest import Tried

ROOT = Path(config.__file__).parents[1]


def places(model: type[BaseModel], *table: str) -> Iterator[tuple[str, ...]]:
    """The tables and name of each setting, those of tables within tables included."""
    for name, field in model.model_fields.items():
        yield (*table, name)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from places(kind, *table, name)


SETTINGS = [*places(PipelineConfig), *places(cluster.ClusterSettings, "cluster")]


def refused(folder: Path, place: tuple[str, ...], value: str) -> str:
    """What is said of a settings file with this value, as TOML, in this place."""
    path = folder / "run.toml"
    path.write_text(f"{'.'.join(place)} = {value}\n")
    with pytest.raises(InputError) as caught:
        cluster.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "pydantic" not in message.lower()
    return message


def test_a_wrong_value_of_any_setting(tmp_path: Path, tried: Tried) -> None:
    """None of them is a time of day."""
    for place in SETTINGS:
        message = refused(tmp_path, place, "07:32:00")
        assert f"{'.'.join(place)} is " in message and "should" in message, message
        tried("settings")


def test_a_misspelt_name_of_any_setting(tmp_path: Path, tried: Tried) -> None:
    for *table, name in SETTINGS:
        misspelt = (*table, f"{name[:-2]}{name[-1]}x")
        message = refused(tmp_path, misspelt, "1")
        assert f"there is no setting {'.'.join(misspelt)}" in message
        assert len(name) <= 4 or f"did you mean {name}?" in message, message
        tried("names")


@settings(
    derandomize=True,
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_files_of_any_bytes(tmp_path: Path, tried: Tried, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    try:
        cluster.load(path)
    except InputError as error:
        assert str(path) in str(error)
        tried("refused")
    else:
        tried("read")


MARKS = ["\ufeff", "\ufeff\ufeff", "\u200b", "\ufeff\u2060", "\u200e\ufeff"]


@pytest.mark.parametrize("mark", MARKS)
def test_invisible_marks_before_settings_do_not_count(
    tmp_path: Path, tried: Tried, mark: str
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f"{mark}image_size = 64\n", encoding="utf-8")
    assert cluster.load(path)[0].image_size == 64
    tried("read")


OTHERS = {
    "UTF-16 text": "image_size = 64\n".encode("utf-16"),
    "is UTF-16 text": "image_size = 64\n".encode("utf-16-le"),
    "UTF-32 text": "image_size = 64\n".encode("utf-32"),
    "an HTML page, such as a sign-in page": b"<!DOCTYPE html>\n<html></html>",
    "a JSON document": b'{"image_size": 64}',
    "a zip": b"PK\x03\x04",
    "an RTF document": rb"{\rtf1\ansi image_size = 64}",
    "a gzip file": b"\x1f\x8b\x08",
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_toml_is_called_what_it_is(tmp_path: Path, tried: Tried, what: str) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(OTHERS[what])
    with pytest.raises(InputError) as caught:
        cluster.load(path)
    assert what in str(caught.value) and str(path) in str(caught.value)
    tried("refused")


# -- Files and folders ----------------------------------------------------------------------


def empty(path: Path) -> Path:
    path.touch()
    return path


PLACES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "absent settings": ("config", lambda folder: folder / "x.toml", "read: No such file or dir"),
    "a folder for settings": ("config", lambda folder: folder, "cannot be read: Is a directory"),
    "absent weights": (
        "base-weights",
        lambda folder: folder / "absent.h5",
        "cannot be read (No such file or directory); give `imagenet`, `none` or",
    ),
    "other weights": ("base-weights", lambda folder: empty(folder / "w.h5"), "not an HDF5 file"),
    "absent data": ("data-root", lambda folder: folder / "absent", "There is no folder"),
    "a file for data": ("data-root", lambda folder: empty(folder / "f"), "There is no folder"),
    "a file for output": (
        "output-root",
        lambda folder: empty(folder / "f"),
        "cannot be written: Not a directory",
    ),
    "output below a file": (
        "output-root",
        lambda folder: empty(folder / "f") / "out",
        "cannot be written: Not a directory",
    ),
    "output in /proc": (
        "output-root",
        lambda _: "/proc/out",
        "cannot be written: No such file or directory",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_files_and_folders_that_cannot_be_used(tmp_path: Path, tried: Tried, place: str) -> None:
    flag, value, words = PLACES[place]
    flags = {"base-weights": "none", "output-root": tmp_path / "unused", flag: value(tmp_path)}
    ended = CliRunner().invoke(run, [f"--{name}={value}" for name, value in flags.items()])
    # The command line makes exit status 2 and one line of it (tests/pipeline/commands/test_cli.py).
    assert isinstance(ended.exception, InputError), ended.exception
    assert words in str(ended.exception)
    assert "\n" not in str(ended.exception)
    tried("places")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else(tried: Tried) -> None:
    """Without root's rights, for whom every folder is writable."""
    script = (
        "import os, sys\n"
        "from components.errors import InputError\n"
        "from pipeline.commands.run import run\n"
        "from pipeline.process import launcher\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: run.main(['--base-weights=none', *sys.argv[1:]], standalone_mode=False)\n"
        "except InputError as error: print(error, file=sys.stderr)\n"
    )
    # Not below pytest's folder, which is root's alone.
    with tempfile.TemporaryDirectory() as out:
        Path(out).chmod(0o755)
        done = subprocess.run(  # noqa: S603 (a command of ours)
            [sys.executable, "-c", script, f"--output-root={out}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
    assert done.stderr == f"The output folder {out} cannot be written: Permission denied.\n"
    tried("folders")
