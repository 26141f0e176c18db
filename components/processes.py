"""How this project starts Python processes of its own."""

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def python(module: str) -> tuple[str, ...]:
    """Returns the command that runs one of the project's modules.

    Without -P, Python would look for modules in the current folder first: that may be a
    folder of somebody else's data, with a `json.py` in it.

    Args:
      module: its dotted name.
    """
    return (sys.executable, "-P", "-m", module)


def environment() -> dict[str, str]:
    """Returns this process's environment, with which the command finds the project."""
    others = os.environ.get("PYTHONPATH")
    path = f"{_ROOT}{os.pathsep}{others}" if others else str(_ROOT)
    return {**os.environ, "PYTHONPATH": path}
