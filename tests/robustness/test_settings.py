"""Settings of every wrong kind: refused in one sentence with the key and what is allowed."""

import json
import math
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.errors import InputError
from pipeline import config
from pipeline.cluster import settings as cluster
from pipeline.config import PipelineConfig
from tests.robustness.conftest import Tried

ROOT = Path(config.__file__).parents[1]
many = settings(
    derandomize=True,
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


# -- What there is to set, out of the models ------------------------------------------------


def kinds(annotation: Any) -> list[Any]:
    """The types that a field takes, without None."""
    if get_origin(annotation) is Annotated:
        return kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in kinds(part)]
    return [] if annotation is type(None) else [annotation]


def fields(model: type[BaseModel], *table: str) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """All settings with their place, tables within tables included."""
    for name, field in model.model_fields.items():
        (kind,) = kinds(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields(kind, *table, name)
        yield (*table, name), field


SETTINGS = dict(fields(PipelineConfig)) | {
    ("cluster", *place): field for place, field in fields(cluster.ClusterSettings)
}
# What has to stand beside a setting for its table to be complete.
BESIDE = {
    "metadata": {"kind": "mysql", "host": "db", "user": "me", "password_env": "DB"},
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8),
    "int": st.integers(-(2**62), 2**62),
    "float": st.floats(),
    "bool": st.booleans(),
    "list": st.lists(st.integers(0, 9), max_size=2),
    "dict": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9), max_size=2),
}


def takes(field: FieldInfo, value: Any) -> bool:
    """Whether a value is of the right type and in range, by the field's own declaration."""
    (kind,) = kinds(field.annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return value == {}  # their fields are broken one by one
    if get_origin(kind) is Literal:
        return value in get_args(kind) and isinstance(value, str)
    if get_origin(kind) is list:
        return value == []
    if kind is Path:
        right = isinstance(value, str)
    elif kind is float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        right = type(value) is kind
    if not right:
        return False
    for limit in field.metadata:
        for name, holds in {
            "ge": lambda low: value >= low,
            "gt": lambda low: value > low,
            "le": lambda high: value <= high,
            "lt": lambda high: value < high,
        }.items():
            bound = getattr(limit, name, None)
            if bound is not None and not holds(bound):
                return False
    return not (isinstance(value, float) and math.isnan(value))


def toml(value: Any) -> str:
    """Writes a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value).replace("e", "E")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def write(path: Path, place: tuple[str, ...], value: Any) -> Path:
    """A settings file in which one setting has that value and everything else is right."""
    content: dict[str, Any] = {}
    table = content
    for name in place[:-1]:
        table = table.setdefault(name, dict(BESIDE.get(name, {})))
    table[place[-1]] = value
    path.write_text("".join(f"{name} = {toml(entry)}\n" for name, entry in content.items()))
    return path


def load(path: Path) -> None:
    cluster.load(path)


def refused(path: Path, place: tuple[str, ...]) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert ".".join(place) in message, message
    assert "pydantic" not in message.lower()
    return message


@many
@given(data=st.data())
def test_wrong_types_and_ranges(tmp_path: Path, tried: Tried, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(SETTINGS)))
    field = SETTINGS[place]
    value = data.draw(st.one_of(*VALUES.values()).filter(lambda value: not takes(field, value)))
    path = write(tmp_path / "run.toml", place, value)
    message = refused(path, place)
    # What is allowed, or which settings there are.
    assert any(
        word in message for word in ("should", "there is no setting", "is missing", "name ")
    ), message
    tried("values refused")


@pytest.mark.parametrize("place", sorted(SETTINGS), ids=".".join)
def test_just_out_of_range(tmp_path: Path, tried: Tried, place: tuple[str, ...]) -> None:
    """The last value that is allowed is taken, the next one refused with the bound."""
    field = SETTINGS[place]
    (kind,) = kinds(field.annotation)
    for limit in field.metadata:
        for name, step in (("ge", -1), ("le", 1), ("gt", 0), ("lt", 0)):
            bound = getattr(limit, name, None)
            if bound is None:
                continue
            beyond = bound + (step if kind is int else step * 1e-6)
            message = refused(write(tmp_path / "run.toml", place, beyond), place)
            assert f"{bound:g}" in message or str(bound) in message
            tried("bounds")
            if name in ("ge", "le"):
                load(write(tmp_path / "run.toml", place, bound))


@pytest.mark.parametrize(
    "place",
    [place for place, field in SETTINGS.items() if get_origin(field.annotation) is Literal],
    ids=".".join,
)
def test_other_words(tmp_path: Path, tried: Tried, place: tuple[str, ...]) -> None:
    message = refused(write(tmp_path / "run.toml", place, "else"), place)
    for word in get_args(SETTINGS[place].annotation):
        assert repr(word) in message
    tried("words")


@many
@given(data=st.data())
def test_misspelt_keys(tmp_path: Path, tried: Tried, data: st.DataObject) -> None:
    """The right key is named."""
    place = data.draw(st.sampled_from(sorted(SETTINGS)))
    name = place[-1]
    position = data.draw(st.integers(0, len(name) - 1))
    misspelt = (
        name[:position]
        + data.draw(st.sampled_from(["", "x", name[position] * 2]))
        + (name[position + 1 :])
    )
    siblings = {each[-1] for each in SETTINGS if each[:-1] == place[:-1]}
    if misspelt in siblings or not misspelt:
        return
    wrong = (*place[:-1], misspelt)
    message = refused(write(tmp_path / "run.toml", wrong, 1), wrong)
    assert f"there is no setting {'.'.join(wrong)}" in message
    if len(name) > 4:
        assert "did you mean" in message
    tried("keys")


@settings(parent=many, max_examples=150)
@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_files_of_any_bytes(tmp_path: Path, tried: Tried, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    try:
        load(path)
    except InputError as error:
        assert str(path) in str(error)
        tried("refused")
    else:
        tried("read")


# -- Files and folders ----------------------------------------------------------------------


def absent(folder: Path) -> dict[str, str]:
    return {"config": str(folder / "absent.toml")}


def a_folder(folder: Path) -> dict[str, str]:
    return {"config": str(folder)}


def no_weights(folder: Path) -> dict[str, str]:
    return {"base-weights": str(folder / "absent.h5")}


def no_hdf5(folder: Path) -> dict[str, str]:
    (folder / "w.h5").write_bytes(b"not weights")
    return {"base-weights": str(folder / "w.h5")}


def no_data(folder: Path) -> dict[str, str]:
    return {"data-root": str(folder / "absent")}


def data_is_a_file(folder: Path) -> dict[str, str]:
    (folder / "data").touch()
    return {"data-root": str(folder / "data")}


def output_is_a_file(folder: Path) -> dict[str, str]:
    (folder / "out").touch()
    return {"output-root": str(folder / "out")}


def output_below_a_file(folder: Path) -> dict[str, str]:
    (folder / "file").touch()
    return {"output-root": str(folder / "file" / "out")}


def output_in_proc(folder: Path) -> dict[str, str]:
    return {"output-root": "/proc/out"}


PLACES: dict[Callable[[Path], dict[str, str]], str] = {
    absent: "cannot be read: No such file or directory",
    a_folder: "cannot be read: Is a directory",
    no_weights: "cannot be read (No such file or directory); give `imagenet`, `none` or",
    no_hdf5: "are not an HDF5 file",
    no_data: "There is no folder",
    data_is_a_file: "There is no folder",
    output_is_a_file: "cannot be written: Not a directory",
    output_below_a_file: "cannot be written: Not a directory",
    output_in_proc: "cannot be written: No such file or directory",
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_files_and_folders_that_cannot_be_used(
    tmp_path: Path, tried: Tried, place: Callable[[Path], dict[str, str]]
) -> None:
    """By the command itself: exit status 2, one sentence, no traceback."""
    flags = {"base-weights": "none", "output-root": str(tmp_path / "unused"), **place(tmp_path)}
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [
            sys.executable,
            "local_runner.py",
            *(f"--{name}={value}" for name, value in flags.items()),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert PLACES[place] in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr
    tried("places")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else(tmp_path: Path, tried: Tried) -> None:
    """Without root's rights, for whom every folder is writable."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    (tmp_path / "out").mkdir(mode=0o755)
    script = (
        "import os, pathlib\n"
        "from components.errors import InputError\n"
        "from pipeline import config, launch\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "settings = config.load(None, output_root=pathlib.Path(os.environ['OUT']))\n"
        "try:\n"
        "    with launch.output_folder(settings): pass\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "OUT": str(tmp_path / "out"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert (
        done.stdout
        == f"The output folder {tmp_path / 'out'} cannot be written: Permission denied.\n"
    )
    tried("folders")
