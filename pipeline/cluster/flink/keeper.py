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
from typing import Final

SEPARATOR: Final = "::"
SCRATCH: Final = "{scratch}"
_GRACE: Final = 5.0  # seconds between asking a program to end and ending it


def keep(commands: Sequence[Sequence[str]]) -> int:
    """Runs programs until one of them ends, or standard input does.

    Args:
      commands: their command lines.

    Returns:
      The exit status of the one that ended; 0 after standard input.
    """
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 (commands of ours)
        for command in commands
    ]
    descriptors = {os.pidfd_open(process.pid): process for process in running}
    try:
        while True:
            ready, _, _ = select.select([0, *descriptors], [], [])
            for descriptor in ready:
                if descriptor in descriptors:
                    return descriptors[descriptor].wait()
                if not os.read(0, 4096):
                    return 0
    finally:
        for process in running:
            process.terminate()
            assert process.stdin is not None
            process.stdin.close()  # Python programs of ours end by that
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
