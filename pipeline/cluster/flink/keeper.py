"""Keeps programs running on a node: `python -m pipeline.cluster.flink.keeper COMMAND... :: ...`.

All of them end with the first one that does, and with standard input, which closes
with the process that started this one, however that went. A folder on the node's
own disk, whose name takes the place of `{scratch}` in the commands, goes with them.
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

SEPARATOR: Final = "::"
SCRATCH: Final = "{scratch}"
_GRACE: Final = 5.0  # seconds between asking a program to end and ending it


def keep(commands: Sequence[Sequence[str]]) -> int:
    """Runs programs until one of them ends, or standard input does.

    Args:
      commands: their command lines. Each is started once the one before has said
        something on its standard output.

    Returns:
      The exit status of the one that ended; 0 after standard input.
    """
    *first, last = commands
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in first:
            running.append(_start(command, stdout=subprocess.PIPE))
            status = _end_of(running, ready=running[-1].stdout)
            if status is not None:
                return status
        running.append(_start(last, stdout=None))
        return _end_of(running) or 0
    finally:
        for process in running:
            process.terminate()
            assert process.stdin is not None  # noqa: S101 (for the type checker)
            process.stdin.close()  # Python programs of ours end by that
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(command: Sequence[str], stdout: int | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout)  # noqa: S603 (ours)


def _end_of(
    running: Sequence["subprocess.Popen[bytes]"], ready: IO[bytes] | None = None
) -> int | None:
    """Waits for the end of one of some programs; returns its status, None if `ready` first."""
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
    command: list[str] = []
    for word in [*words, SEPARATOR]:
        if word == SEPARATOR:
            yield command
            command = []
        else:
            command.append(word.replace(SCRATCH, scratch))


def main() -> int:
    """Runs the programs of the command line; returns the exit status."""
    # Slurm asks the steps of a cancelled job to end; what is begun here ends first.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    scratch = tempfile.mkdtemp(prefix="lookdeep-")
    try:
        return keep(list(_split(sys.argv[1:], scratch)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
