"""The jars of Flink and of Beam's Flink runner: fetched once, checked each time."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from components import command_line
from components.errors import InputError

_HERE: Final = Path(__file__).parent
_SETUP: Final = (
    f"run `{command_line.cluster_runner('setup')}`, with your --config if it sets"
    " cluster.flink_jars, on a machine with internet access"
)


def place(folder: Path) -> Path:
    """Returns the folder of the jars.

    Beam's job server uploads its class path, 150 MB, with each pipeline, and each task
    manager fetches it, unless its folder has this name (PipelineResources.java). Our task
    managers have the same jars themselves.

    Args:
      folder: `cluster.flink_jars`.

    Raises:
      InputError: Java cannot read its name in a class path.
    """
    if ":" in str(folder):
        raise InputError(
            f"Java takes the colon in {folder} for the end of a name; name another folder in"
            " cluster.flink_jars."
        )
    return folder / "gradle" / "wrapper"


def fetch(folder: Path) -> int:
    """Has Maven fetch the jars, unless they are there already.

    Args:
      folder: where they go, on a file system that all nodes see.

    Returns:
      Their number.

    Raises:
      InputError: Maven is missing or fails, or a jar is not the expected one.
    """
    expected, target = _expected(), place(folder)
    if not _differing(target, expected):
        return len(expected)
    if shutil.which("mvn") is None:
        raise InputError(
            "There is no mvn on the PATH; install Maven (Debian: maven) or load its module."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            fetched = Path(temporary) / "jars"
            _maven(fetched)
            if wrong := _differing(fetched, expected):
                raise InputError(
                    f"Maven fetched a {wrong[0]} that does not match {_HERE.name}/jars.sha256;"
                    " nothing was installed."
                )
            shutil.rmtree(target, ignore_errors=True)
            fetched.rename(target)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.") from error
    return len(expected)


def check(folder: Path) -> None:
    """Checks that exactly the expected jars are there.

    Raises:
      InputError: they are not.
    """
    if not place(folder).is_dir():
        raise InputError(f"Flink is not in {folder}; {_SETUP}.")
    if wrong := _differing(place(folder), _expected()):
        raise InputError(f"{wrong[0]} in {folder} is missing, damaged or unexpected; {_SETUP}.")


def java() -> str:
    """Returns the path of Java.

    Raises:
      InputError: there is none.
    """
    found = shutil.which("java")
    if found is None:
        raise InputError(
            "There is no java on the PATH. Flink needs a JRE, 11 or later: install one (Debian:"
            " default-jre-headless), or name its module in cluster.modules."
        )
    return found


def _maven(folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [  # noqa: S607 (Maven's place is the site's choice)
            "mvn",
            "--batch-mode",
            "--quiet",
            "--strict-checksums",
            "-Dstyle.color=never",
            f"--file={_HERE / 'pom.xml'}",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={folder}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise InputError(
            f"Maven could not fetch Flink: {words[0][8:] if words else 'it gave no reason.'}"
        )


def _expected() -> dict[str, str]:
    """The expected jars: SHA-256 by name."""
    lines = (_HERE / "jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in map(str.split, lines)}


def _differing(folder: Path, expected: dict[str, str]) -> list[str]:
    """Names of jars that are missing, unexpected or of other content."""
    found = {path.name: path for path in folder.glob("*")} if folder.is_dir() else {}
    return sorted(
        found.keys() - expected.keys()
        | {
            name
            for name, digest in expected.items()
            if name not in found or hashlib.sha256(found[name].read_bytes()).hexdigest() != digest
        }
    )
