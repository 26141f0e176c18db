"""The command line: help without heavy imports, one sentence for what the user can mend."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from components.errors import DataError, InputError
from pipeline.commands import cli
from tests.support.missing import missing

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("tensorflow", "apache_beam", "tfx", "keras", "pandas", "scipy")


def lookdeep(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        " from pipeline.commands.script import lookdeep; lookdeep()"
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


COMMANDS_ON_A_FOLDER = """
import os, sys
from pipeline.commands import cli
from pipeline.commands.cluster import cluster
commands = [cli.lookdeep.get_command(None, name) for name in cli.COMMANDS]
commands += [cluster.commands[name] for name in ("submit", "logs")]
decides = ["--by=a", "--reason=b"]
more = {
    "predict": ["a.png"], "purge": ["--clip=c"], "logs": ["7"], "master": ["--data-root=x"],
    "dossier": ["r1"], "run": ["--base-weights=none"], "submit": ["--base-weights=none"],
    "crossval": ["--data-root=x", "--base-weights=none"],
    "approve": ["a", *decides], "reject": ["a", *decides], "rollback": decides,
}
for command in commands:
    if "--output-root" in str([param.opts for param in command.params]):
        sys.argv[1:] = [*more.get(command.name, []), "--output-root", sys.argv[-1]]
        if os.fork() == 0:
            os.dup2(1, 2)
            cli.execute(command)
        print(command.name, "exited with", os.wait()[1] >> 8, flush=True)
"""
TOLD_FIRST = {"master", "crossval"}  # what else is wrong there


@pytest.mark.parametrize("opened", [False, True])
def test_somebody_elses_folder_is_refused_by_every_command(tmp_path: Path, opened: bool) -> None:
    """Also one that a chmod has opened, but not what is in it."""
    if os.geteuid() != 0:
        missing("only root can give a folder to somebody else")
    out = tmp_path / "out"
    for name in ("review/a", "serving/posture/1", "data", "logs", "cluster"):
        (out / name).mkdir(parents=True)
    (out / "metadata.sqlite").touch()
    for path in (out, *out.rglob("*")):
        path.chmod(0o700)
        os.chown(path, 1000, 1000)
    out.chmod(0o755 if opened else 0o700)
    rights = "-dac_override,-dac_read_search"  # without them, root reads what others may
    result = subprocess.run(  # noqa: S603 (a command of ours)
        ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", sys.executable,  # noqa: S607 (whichever is on the PATH)
         "-c", COMMANDS_ON_A_FOLDER, out],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stderr == ""
    said: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in result.stdout.splitlines():
        command, _, status = line.partition(" exited with ")
        if status:
            assert status == str(cli.USAGE), result.stdout
            said[command], lines = lines, []
        else:
            lines.append(line)
    assert {"run", "review", "predict", "export", "purge", "status", "submit"} < said.keys()
    for command, lines in said.items():
        assert "Traceback" not in "".join(lines), lines
        assert command in TOLD_FIRST or re.search("Permission denied|unable to", lines[-1]), lines


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
