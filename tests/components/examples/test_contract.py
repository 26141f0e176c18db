"""The check of schema.pbtxt: what it finds, and where."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.examples import contract

TEXT = contract.FILE.read_text(encoding="utf-8")
LINES = TEXT.splitlines()


def line_of(words: str) -> int:
    """The first line that has some words."""
    return next(number for number, line in enumerate(LINES, start=1) if words in line)


def test_the_schema_of_the_project_is_as_schema_features_says() -> None:
    contract.check()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("type: BYTES", "typo: BYTES", line_of("type: BYTES"), 'no field named "typo"'),
        ('name: "clip"', 'name: "clip', line_of('"clip"'), "String missing ending quote"),
        ("type: FLOAT", "type: FLAOT", line_of("type: FLOAT"), "no value named FLAOT"),
        ('name: "clip"', 'name: "clips"', line_of('"clip"'), "has no column clips"),
        ('  value: "Lying"\n', "", line_of('"Sitting"') - 1, "primary_posture lacks 'Lying'"),
        ('value: "Lying"', 'value: "Laying"', line_of('"Sitting"') - 1, "has 'Laying'"),
        (
            '  domain: "how_many"\n',
            "",
            line_of('"how_many"'),
            'how_many needs domain: "how_many"',
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    file = tmp_path / "schema.pbtxt"
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        contract.check(file)
    first, *_ = (each for each in str(caught.value).splitlines() if words in each)
    assert first.startswith(f"{file}, line {line}: ") and first.endswith(".")


def test_a_missing_feature_and_another_encoding_are_named(tmp_path: Path) -> None:
    file = tmp_path / "schema.pbtxt"
    file.write_text("")
    with pytest.raises(InputError, match=r"schema\.pbtxt, end: a feature image is missing"):
        contract.check(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"schema\.pbtxt is not UTF-8"):
        contract.check(file)


@given(start=st.integers(0, len(TEXT)), length=st.integers(1, 40), text=st.text(max_size=8))
def test_any_damage_is_passed_or_named(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "schema.pbtxt"
    damaged = TEXT[:start] + text + TEXT[start + length :]
    file.write_text(damaged, encoding="utf-8", errors="surrogatepass")
    try:
        contract.check(file)
    except InputError as error:
        assert all(line.startswith(str(file)) for line in str(error).split("\n"))


def test_the_check_needs_no_tensorflow() -> None:
    code = (
        "import sys; from components.examples import contract; contract.check();"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'tfx', 'apache_beam')))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command).returncode == 0  # noqa: S603 (a command of ours)
