"""How this project starts Python processes of its own, and what they do first."""

import errno
import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

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
    others = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = os.pathsep.join(dict.fromkeys([str(_ROOT), *others]))
    return {**os.environ, "PYTHONPATH": path}


def hush_libraries() -> None:
    """Keeps from the terminal what libraries say of the machine and of one another.

    In this process and, but for Python's loggers, in those that it starts, unless the user
    asked to hear it. Call it before TensorFlow is imported. What fails raises all the same.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it at import
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if not sys.warnoptions:
        os.environ["PYTHONWARNINGS"] = "ignore"
        warnings.simplefilter("ignore")


class _Lossy(io.FileIO):
    """A file of which the part that the disk has no space for is lost."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes as much as there is space for, and says that it was all."""
        try:
            super().write(data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        return memoryview(data).nbytes


def lose_output_on_full_disk() -> None:
    """Lets this process go on when its log, standard output and error, cannot be written.

    Beam's workers print what failed before they report it. Without space for the print
    there would be no report, and the runner would wait for it for ever.
    """
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(_Lossy(number, "w", closefd=False), errors="replace", write_through=True)
        for number in (1, 2)
    )
