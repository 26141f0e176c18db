"""How messages spell a command, so that it runs as it is printed, in any folder."""

import shlex
import sys
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).resolve().parents[1]


def lookdeep(*arguments: object) -> str:
    """Spells a command of `lookdeep` for a shell.

    The script is the one beside this Python: the virtual environment need not be active.

    Args:
      *arguments: the subcommand, options and paths, not quoted.
    """
    return shlex.join(map(str, (Path(sys.executable).with_name("lookdeep"), *arguments)))


def cluster_runner(*arguments: object) -> str:
    """Spells a command of cluster_runner.py, as `lookdeep` does."""
    return shlex.join(map(str, (sys.executable, _PROJECT / "cluster_runner.py", *arguments)))
