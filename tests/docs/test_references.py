"""What the documents name exists: files, modules, functions, commands, flags, settings."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import click
import pytest

from pipeline.commands import cli
from pipeline.commands.cluster import cluster
from pipeline.dossier import contents as dossier
from tests.support import documents

ROOT: Final = documents.ROOT
PACKAGES: Final = ("components", "pipeline", "schema", "benchmarks", "tests")

LINK: Final = re.compile(r"\]\((?!https?:)([^)#]+)")
FILE: Final = re.compile(r"(?<![\w./*-])[\w./-]*\w\.(?:jinja|md|pbtxt|png|py|sha256|toml|xml)\b")
PATH: Final = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)}|docs)/[\w./-]*[\w/]")
DOTTED: Final = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
# Inline code, indented code, and the text between fences.
CODE: Final = re.compile(r"`([^`\n]+)`|^ {4,}(.*)$", re.MULTILINE)
FLAG: Final = re.compile(r"(?<![\w-])--[a-z][\w-]*")

# Written by a user or by a run.
OTHER_FILES: Final = {"run.toml", *dossier.FILES}
# Of pip-audit, Slurm, Beam, git.
OTHER_FLAGS: Final = {"--strict", "--exclusive", "--setup_file", "--locked"}


@cache
def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


@cache
def files() -> tuple[str, ...]:
    """All files of the project that a document may name, relative to its root."""
    folders = (*PACKAGES, "docs", ".ci", ".github")
    inside = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return tuple(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*"), *inside))


def is_file(name: str, document: Path) -> bool:
    """Whether a name is one of a file, from the root, from the document, or by its end."""
    if (ROOT / name).exists() or (document.parent / name).exists():
        return True
    return any(f"/{path}".endswith(f"/{name}") for path in files())


def defines(tree: ast.AST, names: list[str]) -> bool:
    """Whether a module or class defines a name, and that the next one, and so on."""
    if not names:
        return True
    for node in ast.iter_child_nodes(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found = [getattr(node, "name", ""), *(getattr(target, "id", "") for target in targets)]
        if names[0] in found and defines(node, names[1:]):
            return True
    return False


def is_importable(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or something that a module defines."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        if place.is_dir() and length == len(parts):
            return True
        for module in (place.with_suffix(".py"), place / "__init__.py"):
            if module.is_file():
                return defines(ast.parse(module.read_text(encoding="utf-8")), parts[length:])
    return False


def code(document: Path) -> Iterator[str]:
    """Each piece of code of a document, without comments."""
    for inline, block in CODE.findall(text(document)):
        yield (inline or block).partition("  #")[0]


def flags_of(command: click.Command) -> set[str]:
    return {flag for each in command.params for flag in each.opts} | {"--help"}


def is_command(group: click.Group, words: list[str]) -> str:
    """Says what is wrong with a command line; an empty text if nothing is.

    Args:
      group: what the command is of.
      words: those after its name. `status|logs` are two commands.
    """
    named = words[0] if words and re.fullmatch(r"[a-z|]+", words[0]) else ""
    for name in filter(None, named.split("|")):
        command = group.get_command(click.Context(group), name)
        if command is None:
            return f"there is no command {name}"
        if unknown := set(FLAG.findall(" ".join(words))) - flags_of(command):
            return f"{name} has no {', '.join(sorted(unknown))}"
    return ""


def benchmark_flags(module: str) -> set[str]:
    sources = (ROOT / "benchmarks" / f"{name}.py" for name in (module, "figures"))
    return {flag for source in sources for flag in FLAG.findall(source.read_text(encoding="utf-8"))}


@cache
def own_flags() -> set[str]:
    """The flags of all commands."""
    groups = (cli.lookdeep, cluster)
    found = {"--help", "--version"}
    for group in groups:
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command
            found |= flags_of(command)
    return found | {
        flag
        for module in (ROOT / "benchmarks").glob("*.py")
        for flag in benchmark_flags(module.stem)
    }


def command_problem(line: str) -> str:
    """Says what is wrong with a piece of code that calls a command of the project."""
    words = line.replace("[", " ").replace("]", " ").split()
    for at, word in enumerate(words):
        rest = words[at + 1 :]
        if word == "lookdeep" or word.endswith("/lookdeep"):
            return is_command(cli.lookdeep, rest)
        if word == "cluster_runner.py" and at and words[at - 1].startswith("python"):
            return is_command(cluster, rest)
        if word.startswith("benchmarks.") and at and words[at - 1] == "-m":
            unknown = set(FLAG.findall(line)) - benchmark_flags(word.partition(".")[2])
            return f"{word} has no {', '.join(sorted(unknown))}" if unknown else ""
        if word == "make" and at == 0:
            return make_problem(rest)
    unknown = set(FLAG.findall(line)) - own_flags() - OTHER_FLAGS
    return f"no command has {', '.join(sorted(unknown))}" if unknown and line[0] == "-" else ""


def make_problem(words: list[str]) -> str:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^export (.*)$", makefile, re.MULTILINE)[0].split())
    for word in words:
        name, is_variable, _ = word.partition("=")
        if re.fullmatch(r"[A-Z]+", name) and is_variable and name not in variables:
            return f"make takes no {name}"
    target = words[0] if words and re.fullmatch(r"[a-z-]+", words[0]) else ""
    return f"make has no target {target}" if target and target not in targets else ""


def of_documents(test: object) -> object:
    return pytest.mark.parametrize("document", documents.DOCUMENTS, ids=documents.name)(test)


@of_documents
def test_links_lead_to_files(document: Path) -> None:
    links = LINK.findall(text(document))
    assert [link for link in links if not (document.parent / link).exists()] == []


@of_documents
def test_files_exist(document: Path) -> None:
    named = {*FILE.findall(text(document)), *PATH.findall(text(document))}
    own = {name for name in named if not name.startswith("OUT/")} - OTHER_FILES
    unknown = sorted(name for name in own if not is_file(name.rstrip("/"), document))
    assert [name for name in unknown if not is_importable(name)] == []  # x.Converter.png


@of_documents
def test_modules_and_functions_exist(document: Path) -> None:
    named = {name for name in DOTTED.findall(text(document)) if not FILE.fullmatch(name)}
    assert sorted(name for name in named if not is_importable(name)) == []


@of_documents
def test_commands_and_flags_exist(document: Path) -> None:
    problems = {line: command_problem(line) for line in code(document) if line.strip()}
    assert {line: problem for line, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("lookdeep predict PICTURE --model FOLDER", ""),
        (".venv/bin/lookdeep predic PICTURE", "there is no command predic"),
        ("lookdeep review [RUN] --agains OTHER", "review has no --agains"),
        ("python cluster_runner.py status|cancel JOB", ""),
        ("python cluster_runner.py submit --nodes 3", "submit has no --nodes"),
        ("make run DATA=path OUT=output", ""),
        ("make runs", "make has no target runs"),
        ("make run WEIGHT=none", "make takes no WEIGHT"),
        (".venv/bin/python -m benchmarks.memory --counts 600 --record", ""),
        ("python -m benchmarks.memory --count 600", "benchmarks.memory has no --count"),
        ("--labels-only", ""),
        ("--label-only", "no command has --label-only"),
    ],
)
def test_a_command_that_does_not_exist_is_named(line: str, problem: str) -> None:
    assert command_problem(line) == problem
