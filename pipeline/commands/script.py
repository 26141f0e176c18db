"""How the scripts beside the packages start: with the environment that `make setup` installs.

Any Python 3 can read this module, and says so if it is another one.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

_ROOT = Path(__file__).resolve().parents[2]


def start(name: str) -> NoReturn:
    """Runs a command and exits, as `cli.execute` does.

    Args:
      name: of the command, and of its module in this folder.
    """
    if sys.version_info[:2] != (3, 11) or find_spec("tfx") is None:
        print(
            f"{sys.executable} is not the Python of this project; run `make setup` in {_ROOT},"
            f" and give the same command with {_ROOT}/.venv/bin/python.",
            file=sys.stderr,
        )
        sys.exit(2)
    from components import processes

    processes.isolate()
    # Only now: PYTHONPATH may have had others of this name.
    from importlib import import_module

    from pipeline.commands import cli

    cli.execute(getattr(import_module(f"pipeline.commands.{name}"), name))
