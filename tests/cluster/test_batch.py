"""The batch script: what is pasted into it arrives unchanged, and modules cannot break it.

No Slurm is needed; tests/cluster/test_slurm.py has the same folders on a real one.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components import processes
from components.errors import InputError
from pipeline.cluster import batch
from pipeline.cluster.settings import ClusterSettings

ROOT = Path(__file__).resolve().parents[2]
WILD = st.text("abä照 %j\"'$`#;&|<>(){}[]*?!~\t\r=:,@^-", min_size=1, max_size=12)

# In place of the project's Python: the arguments, and what the script has set.
PYTHON = """#!/bin/sh
printf '%s\\0' "$@" "$PWD" "$(umask)" "$PATH" "$PYTHONPATH" "$PYTHONHOME$PYTHONOPTIMIZE" "$SET"
"""
MODULE = "BASH_FUNC_module%%"


def job(folder: Path, cluster: ClusterSettings, **env: str) -> tuple[int, str, str]:
    """Runs the script of a job in bash, as Slurm does: status, output, errors."""
    script = batch.script(cluster, folder / "settings.json", folder)
    done = subprocess.run(
        ["bash"],  # noqa: S607 (whichever is on the PATH)
        input=script.encode(),  # as bytes: names may have a \r
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        cwd="/",
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Says what the script gives to Python."""
    path = tmp_path / "it's $HOME %j" / "python"
    path.parent.mkdir()
    path.write_text(PYTHON)
    path.chmod(0o755)
    monkeypatch.setattr(processes, "python", lambda module: (str(path), module))
    return path


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=WILD)
def test_every_folder_arrives_unchanged(python: Path, name: str) -> None:
    folder = Path("/") / name / "cluster"
    status, output, errors = job(folder, ClusterSettings())
    assert (status, errors) == (0, "")
    said = output.split("\0")
    assert said[:3] == ["cluster_runner", "job", f"{folder}/settings.json"]
    script = batch.script(ClusterSettings(), folder / "settings.json", folder)
    (pattern,) = re.findall("^#SBATCH --output=(.*)$", script, re.MULTILINE)
    assert as_slurm_reads(pattern) == f"{folder}/7.out"


@pytest.mark.parametrize("name", ["a\\b", "a\nb", "a\n#SBATCH --uid=0"])
def test_a_folder_that_slurm_cannot_write_to_is_refused(name: str) -> None:
    folder = Path("/") / name
    with pytest.raises(InputError, match=r"^Slurm cannot write to '/a.*--output-root") as refused:
        batch.script(ClusterSettings(), folder / "settings.json", folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        'echo "$LD_LIBRARY_PATH$LD_PRELOAD$FPATH"',
        'echo "${array[3]}"',
        "false; grep nothing /dev/null; true",
        "false | true",
        "echo Loading $2 >&2",
        "export PYTHONHOME=/opt/python PYTHONOPTIMIZE=2 PYTHONPATH=/opt/lib",
        "unset PATH",
        "PATH=/opt/bin",
        "cd /tmp",
        "umask 000",
        "IFS=:",
        "set -f",
        "set +o posix",
        "shopt -s nullglob",
        "path=/nowhere",
        "python() { echo wrong; }",
        'fail=1; eval "$(true)"',
    ],
)
def test_a_module_cannot_break_the_script(python: Path, tmp_path: Path, body: str) -> None:
    cluster = ClusterSettings(modules=["python/3.11", "java/17"])
    function = f"() {{ {body}\nSET=$SET+$2; export SET; }}"
    status, output, errors = job(tmp_path, cluster, **{MODULE: function})
    assert status == 0, errors
    said = output.split("\0")
    assert said[0].endswith("cluster_runner")
    where, mask, path, project, other_python, loaded = said[3:9]
    assert (where, mask, project) == (str(ROOT), "0077", str(ROOT))
    assert path.endswith(os.environ["PATH"])
    assert other_python == ""
    assert loaded == "+python/3.11+java/17"


@pytest.mark.parametrize(
    "body", ["return 1", "echo No such module >&2; false", "nonsense-of-the-site", None]
)
def test_a_module_that_fails_ends_the_job_with_a_sentence(
    python: Path, tmp_path: Path, body: str | None
) -> None:
    """Also where there is no `module` at all."""
    functions = {} if body is None else {MODULE: f"() {{ {body}; }}"}
    status, output, errors = job(tmp_path, ClusterSettings(modules=["java/17"]), **functions)
    assert (status, output) == (2, "")
    last = errors.splitlines()[-1]
    assert last.startswith("The module java/17 could not be loaded on this node; see above")


def test_the_script_ends_in_a_sentence_where_the_project_is_missing(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_ROOT", tmp_path / "absent")
    status, output, errors = job(tmp_path, ClusterSettings())
    assert (status, output) == (2, "")
    assert errors.splitlines()[-1] == "All nodes must see the folder of the project."


def as_slurm_reads(value: str) -> str:
    """The file of job 7, as sbatch reads a directive and slurmd its pattern.

    sbatch takes quotes of both kinds and backslashes as a shell does; the pattern has %j and %%.
    """
    (pattern,) = shlex.split(value, posix=True)
    return re.sub("%(.)", lambda match: {"j": "7", "%": "%"}[match[1]], pattern)
