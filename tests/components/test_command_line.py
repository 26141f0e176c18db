"""Every command that a message prints can be run as it is printed."""

import ast
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from components import command_line
from pipeline.commands import cli
from pipeline.commands.cluster import cluster
from pipeline.commands.demo import demo

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("components", "pipeline") for path in (ROOT / folder).rglob("*.py")]
GROUPS = {"lookdeep": cli.lookdeep, "cluster_runner": cluster}

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(arguments=st.lists(words, max_size=4))
def test_arguments_reach_the_program_as_they_are(arguments: list[str]) -> None:
    program, *found = shlex.split(command_line.lookdeep(*arguments))
    assert found == arguments
    assert os.access(program, os.X_OK)
    python, script, *found = shlex.split(command_line.cluster_runner(*arguments))
    assert found == arguments
    assert os.access(python, os.X_OK) and Path(script).is_file()


def calls() -> Iterator[tuple[str, list[str]]]:
    """Each command that the source spells: its program, and arguments with `x` for what varies."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            function = node.func if isinstance(node, ast.Call) else None
            if (
                isinstance(node, ast.Call)
                and isinstance(function, ast.Attribute)
                and isinstance(function.value, ast.Name)
                and function.value.id == "command_line"
            ):
                yield function.attr, list(_arguments(node.args))


def _arguments(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple):
            yield from _arguments(node.value.elts)
        else:
            yield str(node.value) if isinstance(node, ast.Constant) else "x"


@pytest.mark.parametrize(("program", "arguments"), calls(), ids=str)
def test_every_printed_command_exists_and_takes_its_options(
    program: str, arguments: list[str]
) -> None:
    group = GROUPS[program]
    command = group.get_command(click.Context(group), arguments[0])
    assert command
    assert command.make_context(arguments[0], arguments[1:])


def test_messages_spell_commands_in_this_way_only() -> None:
    """Documentation and `--help` name commands; a message prints what can be typed."""
    spelled = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "help")
        }
        spelled += [
            (path.name, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in told and path.name != "cli.py"
            if any(f"`{name} " in node.value for name in ("lookdeep", "python", "uv"))
        ]
    assert spelled == []


def test_the_command_of_the_demo_runs_as_it_is_printed(tmp_path: Path) -> None:
    folder = tmp_path / "a demo's folder"
    drawn = CliRunner().invoke(demo, ["--output", str(folder), "--clips", "3"])
    printed = drawn.output.splitlines()[-1]
    with subprocess.Popen(  # noqa: S603 (a command of ours)
        ["/bin/sh", "-c", f"exec {printed}"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout
        assert "a demo's folder -> output" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
    assert running.returncode == cli.INTERRUPTED, rest
    assert (tmp_path / "output").is_dir() or "Stopped" in rest
