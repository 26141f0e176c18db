"""The command line: help without heavy imports, one sentence for what the user can mend."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from components.errors import DataError, InputError
from pipeline.commands import cli

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("tensorflow", "apache_beam", "tfx", "keras", "pandas", "scipy")


def lookdeep(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        " from pipeline.commands.cli import main; main()"
    )
    return subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd
    )


def test_help_lists_every_command() -> None:
    result = lookdeep("--help")
    assert result.returncode == 0
    for name, line in cli.COMMANDS.items():
        assert name in result.stdout
        assert line in result.stdout


def test_every_command_has_help_and_none_imports_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from pipeline.commands import cli\n"
        "for name in cli.COMMANDS:\n"
        "    command = cli.lookdeep.get_command(None, name)\n"
        "    context = command.make_context(name, ['--help'], resilient_parsing=True)\n"
        "    text = command.get_help(context)\n"
        "    assert command.help and command.help.strip().endswith('.'), name\n"
        "    options = [p for p in command.params if p.param_type_name == 'option']\n"
        "    assert all(option.help for option in options), name\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)  # noqa: S603 (a command of ours)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[]\n"


def test_an_unknown_command_is_usage() -> None:
    result = lookdeep("trian")
    assert result.returncode == cli.USAGE
    assert "No such command 'trian'" in result.stderr


def test_run_refuses_what_cannot_work_before_heavy_imports(tmp_path: Path) -> None:
    """After its first line, and on one line of stderr."""
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-X", "importtime", ROOT / "local_runner.py", "--data-root", "absent"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == cli.USAGE
    first = done.stdout.partition("\n")[0]
    assert first.startswith("Run ") and "absent -> output" in first
    lines = done.stderr.splitlines()
    imports = [line for line in lines if line.startswith("import time:")]
    assert len(lines) == len(imports) + 1
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in imports}
    assert "click" in imported and not imported & set(HEAVY)
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (InputError("What to do."), 2, "What to do."),
        (DataError("Row 3 of t.csv is odd."), 2, "Row 3 of t.csv is odd."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (KeyboardInterrupt("Stopped. Go on."), 130, "Stopped. Go on."),
    ],
)
def test_what_a_command_raises_becomes_a_line_and_a_status(
    raised: BaseException,
    status: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def command() -> None:
        raise raised

    monkeypatch.setattr(sys, "argv", ["lookdeep"])
    with pytest.raises(SystemExit) as exit_:
        cli.execute(command)
    assert exit_.value.code == status
    assert capsys.readouterr().err.strip() == line


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["lookdeep"])
    with pytest.raises(ZeroDivisionError):
        cli.execute(command)


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    code = (
        "import click\nfrom pipeline.commands import cli\n"
        "@click.command()\n"
        "def many():\n"
        "    for i in range(100_000): click.echo(i)\n"
        "cli.execute(many)\n"
    )
    result = subprocess.run(  # noqa: S602 (a pipeline of ours)
        f"{sys.executable} -c '{code}' | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.stdout == "0\n"
    assert result.stderr == ""
