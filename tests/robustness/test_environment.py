"""Whole runs wherever a user may start one: what surrounds them changes nothing of the result."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from components import processes
from tests.robustness.conftest import Tried
from tests.support.missing import missing
from tests.support.running import ANEW, ROOT, SETTINGS, Command, Ended

# Blanks, quotes, both letters that Turkish has and English has not, two scripts, patterns.
ODD = "g\u0131r g\u0130r 'n' \"güzel\" 照片 [2024]*?{a,b}"


@pytest.fixture
def turkish(tmp_path: Path) -> list[str]:
    """The variables of a Turkish locale, whose capital of i is no I and whose comma is decimal."""
    folder = tmp_path / "locales"
    folder.mkdir()
    compiler = shutil.which("localedef")
    if compiler is None or not Path("/usr/share/i18n/locales/tr_TR").exists():
        missing("there are no sources of locales (Debian: apt install locales)")
    place = folder / "tr_TR.UTF-8"
    subprocess.run([compiler, "-i", "tr_TR", "-f", "UTF-8", str(place)], check=True)  # noqa: S603 (the system's own command)
    return [f"LOCPATH={folder}", "LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8"]


@pytest.fixture
def nobody() -> list[str]:
    """Runs the rest of a command line without root's rights and name, if it has them."""
    if os.geteuid() != 0:
        return []
    without = ["unshare", "--user"]
    if subprocess.run([*without, "true"]).returncode != 0:  # noqa: S603 (the system's own command)
        pytest.skip("root may not make a user namespace here, so that nobody can be made of it")
    return without


@pytest.fixture
def foreign(tmp_path: Path) -> list[str]:
    """Variables, and a HOME, of other work, which would each break a run or change its result."""
    packages = tmp_path / "foreign"
    packages.mkdir()
    for name in ("click", "components", "numpy", "pydantic", "rich"):
        (packages / f"{name}.py").write_text("raise ImportError('of another Python')")
    keras = tmp_path / "foreign" / ".keras" / "keras.json"
    keras.parent.mkdir()
    keras.write_text(
        '{"backend": "theano", "floatx": "float16", "image_data_format": "channels_first"}'
    )
    temporary = tmp_path / "foreign" / "tmp [1]*"
    temporary.mkdir()
    return [
        f"HOME={packages}",
        "KERAS_BACKEND=jax",
        "KERAS_MAX_EPOCHS=1",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python",
        "PYTHONOPTIMIZE=2",
        f"PYTHONPATH={packages}",
        "PYTHONWARNINGS=error",
        "TF_USE_LEGACY_KERAS=1",
        f"TMPDIR={temporary}",
        # Nothing listens on the discard port.
        *(f"{name}=http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "ALL_PROXY")),
    ]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_depends_on_nothing_around_it(
    turkish: list[str],
    nobody: list[str],
    foreign: list[str],
    whole_run: Ended,
    tranches: Path,
    tmp_path: Path,
    tried: Tried,
) -> None:
    place = tmp_path / ODD
    data = shutil.copytree(tranches, place / "data")
    closed = place / "home"
    closed.mkdir(mode=0o500)
    masked = ("sh", "-c", 'umask "$0"; exec "$@"')
    ended = [
        Command(tmp_path, *within).run(place / "out", "--data-root", str(data), **SETTINGS)
        for within in (
            (*nobody, *masked, "077", "env", *turkish, *foreign, "TZ=Asia/Kathmandu"),
            (
                *(*masked, "000", "env", "LC_ALL=C", "PYTHONCOERCECLOCALE=0"),
                *("TZ=America/St_Johns", f"HOME={place}/none"),
            ),
            (*nobody, *masked, "022", "env", f"HOME={closed}", "TZ=Pacific/Kiritimati"),
        )
    ]
    for run in ended:
        run.assert_as_good_as(whole_run)
        tried("runs")
    assert ended[1].ran == ended[2].ran == ANEW, "the environment counts as a change"
    for path in (place / "out").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, f"others can read {path}"
    picture = place / "picture.png"
    Image.new("RGB", (64, 48)).save(picture)
    lookdeep = ("env", *foreign, sys.executable, "-m", "pipeline.commands.script")
    for arguments in (["status"], ["review"], ["predict", str(picture)]):
        done = subprocess.run(  # noqa: S603 (a command of ours)
            [*lookdeep, *arguments, "--output-root", str(place / "out")],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        words = done.stderr.splitlines()
        assert len(words) == (arguments[0] == "predict"), "libraries speak to the user"
        tried("commands")


BREAKING = {
    name: "1"
    for name in (
        *("PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER", "PIP_ROOT"),
        *("PYTHONHOME", "PYTHONPATH", "PYTHONOPTIMIZE", "VIRTUAL_ENV", "CONDA_PREFIX"),
        *(
            "UV_NO_DEV",
            "UV_NO_EDITABLE",
            "UV_FROZEN",
            "UV_PROJECT",
            "UV_PYTHON",
            "UV_SYSTEM_PYTHON",
        ),
    )
}
SOURCES = {
    name: "x"
    for name in (
        *("PIP_CONFIG_FILE", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_TRUSTED_HOST"),
        *("UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_A_PASSWORD", "UV_INDEX_URL"),
        *("https_proxy", "SSL_CERT_FILE", "HOME"),
    )
}


def test_the_set_up_gets_where_packages_come_from_and_nothing_else_of_pip_and_uv(
    tried: Tried,
) -> None:
    done = subprocess.run(
        ["make", "--silent", "--eval=show: ; @env", "show"],  # noqa: S607 (whichever is on the PATH)
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **BREAKING, **SOURCES},
        check=True,
        capture_output=True,
        text=True,
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert not BREAKING.keys() & found.keys()
    assert {name: found.get(name) for name in SOURCES} == SOURCES
    tried("variables that are kept out", len(BREAKING))


@pytest.mark.parametrize("name", ["local_runner.py", "cluster_runner.py"])
def test_a_python_without_the_environment_is_told_what_to_do(name: str) -> None:
    # -S leaves out all installed packages.
    done = subprocess.run(  # noqa: S603 (a script of ours)
        [sys.executable, "-S", ROOT / name, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert sys.executable in line and "run `make setup`" in line


@pytest.mark.parametrize(
    "name",
    [
        *("local_runner.py", "cluster_runner.py", "pipeline/__init__.py"),
        *("pipeline/commands/__init__.py", "pipeline/commands/script.py"),
    ],
)
def test_an_old_python_can_read_what_says_so(name: str) -> None:
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_the_help_needs_no_package_of_another_python(foreign: list[str]) -> None:
    command = ["env", *foreign, sys.executable, "-m", "pipeline.commands.script", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 (ours)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "crossval" in done.stdout


@pytest.mark.parametrize("arguments", [["status"], ["run"], ["--help"]])
def test_a_current_folder_that_is_gone_is_named(arguments: list[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [sys.executable, "-P", "-m", "pipeline.commands.script", *arguments]
    done = subprocess.run(  # noqa: S603 (a command of ours)
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *command],  # noqa: S607 (whichever is on the PATH)
        cwd=gone,
        env=processes.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("The current folder is not there")
