"""Whole runs wherever a user may start one: what surrounds them changes nothing of the result."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.robustness.conftest import Tried
from tests.support.missing import missing
from tests.support.running import ANEW, SETTINGS, Command, Ended

# Blanks, quotes, both letters that Turkish has and English has not, two scripts.
ODD = "g\u0131r g\u0130r 'n' \"güzel\" 照片"


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


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_depends_on_nothing_around_it(
    turkish: list[str],
    nobody: list[str],
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
            (*nobody, *masked, "077", "env", *turkish, f"HOME={place}/none", "TZ=Asia/Kathmandu"),
            (*masked, "000", "env", "LC_ALL=C", "PYTHONCOERCECLOCALE=0", "TZ=America/St_Johns"),
            (*nobody, *masked, "022", "env", f"HOME={closed}", "TZ=Pacific/Kiritimati"),
        )
    ]
    for run in ended:
        run.assert_as_good_as(whole_run)
        tried("runs")
    assert ended[1].ran == ended[2].ran == ANEW, "the environment counts as a change"
    for path in (place / "out").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, f"others can read {path}"
