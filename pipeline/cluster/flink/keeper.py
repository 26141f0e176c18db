"""Keeps programs running on a node: `python -m pipeline.cluster.flink.keeper COMMAND... :: ...`.

All of them end when one of them does, or when standard input closes. That happens when the
process that started the keeper ends in any way. In the commands, `SCRATCH` stands for a
folder on the node's own disk, which is removed at the end.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Final

from components import processes

SCRATCH: Final = "//scratch//"  # in no path: pathlib leaves no two slashes side by side
_SEPARATOR: Final = "::"
_GRACE: Final = 5.0  # seconds between asking a program to end and killing it


def command(*commands: Sequence[str]) -> list[str]:
    """Returns the command line that keeps some programs running."""
    first, *rest = commands
    return [
        *processes.python("pipeline.cluster.flink.keeper"),
        *first,
        *(word for command in rest for word in (_SEPARATOR, *command)),
    ]


def keep(commands: Sequence[Sequence[str]]) -> int:
    """Runs programs until one of them ends, or standard input does.

    Args:
      commands: their command lines. Each is started once the one before it has written
        something to its standard output.

    Returns:
      The exit status of the one that ended; 0 if standard input did.
    """
    *first, last = commands
    running: list[subprocess.Popen[bytes]] = []
    try:
        for words in first:
            running.append(_start(words, stdout=subprocess.PIPE))
            status = _wait(running, ready=running[-1].stdout)
            if status is not None:
                return status
        running.append(_start(last, stdout=None))
        return _wait(running) or 0
    finally:
        for process in running:
            process.terminate()
            assert process.stdin is not None  # noqa: S101 (for the type checker)
            process.stdin.close()  # ends Python programs of ours
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(words: Sequence[str], stdout: int | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=stdout)  # noqa: S603 (ours)


def _wait(
    running: Sequence["subprocess.Popen[bytes]"], ready: IO[bytes] | None = None
) -> int | None:
    """Waits until a program ends and returns its status, or None if `ready` has output first."""
    descriptors = {os.pidfd_open(process.pid): process for process in running}
    try:
        while True:
            waiting = [0, *descriptors] + ([ready.fileno()] if ready else [])
            found, _, _ = select.select(waiting, [], [])
            for descriptor, process in descriptors.items():
                if descriptor in found:
                    return process.wait()
            if 0 in found and not os.read(0, 4096):
                return 0
            if ready and ready.fileno() in found:
                return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _split(words: Sequence[str], scratch: str) -> Iterator[list[str]]:
    found: list[str] = []
    for word in [*words, _SEPARATOR]:
        if word == _SEPARATOR:
            yield found
            found = []
        else:
            found.append(word.replace(SCRATCH, scratch))


def main() -> int:
    """Runs the programs of the command line; returns the exit status."""
    # Slurm sends SIGTERM to the steps of a cancelled job; the programs must end first.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    scratch = tempfile.mkdtemp(prefix="lookdeep-")
    try:
        return keep(list(_split(sys.argv[1:], scratch)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
