"""How `lookdeep` and the scripts beside the packages start, with what `make setup` installs.

Any Python 3 can read this module, and says so if it is another one.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

_ROOT = Path(__file__).resolve().parents[2]


def start(module: str, name: str) -> NoReturn:
    """Runs a command and exits, as `cli.execute` does.

    Args:
      module: of the command, in this folder.
      name: of the command in there.
    """
    if sys.version_info[:2] != (3, 11) or find_spec("tfx") is None:
        print(
            f"{sys.executable} is not the Python of this project; run `make setup` in {_ROOT},"
            f" and give the same command with {_ROOT}/.venv/bin/python.",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.path.insert(0, str(_ROOT))  # PYTHONPATH may have others of these names
    from components import processes

    processes.isolate()
    from importlib import import_module

    from pipeline.commands import cli

    cli.execute(getattr(import_module(f"pipeline.commands.{module}"), name))


def lookdeep() -> NoReturn:
    """The entry point of `lookdeep`."""
    start("cli", "lookdeep")


if __name__ == "__main__":
    lookdeep()
