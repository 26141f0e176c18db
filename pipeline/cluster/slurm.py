"""Slurm's own commands; what they refuse becomes one sentence."""

import os
import re
import socket
import subprocess
import sys
import time
from typing import Final

from components.errors import InputError

# States of a job that will not run again.
ENDED: Final = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE",
     "BOOT_FAIL", "PREEMPTED"}
)  # fmt: skip

# The variables that Slurm's commands need. Others are of a job in which the user is working, and
# would decide about the new one; `processes.isolate` has taken away SBATCH_*.
_NEEDED: Final = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")


def check(script: str) -> str:
    """Has Slurm check a batch script, without submitting it.

    Returns:
      A sentence: that Slurm accepts it, or why Slurm was not asked.

    Raises:
      InputError: Slurm refuses the script.
    """
    try:
        _call("scontrol", "ping")
    except InputError as error:
        return f"Slurm was not asked. {error}"
    _call("sbatch", "--test-only", stdin=script)
    return "Slurm accepts this script."


def submit(script: str) -> str:
    """Submits a batch script.

    Returns:
      The job's number.

    Raises:
      InputError: Slurm is not installed or refuses the script.
    """
    return _call("sbatch", "--parsable", stdin=script).strip().partition(";")[0]


def state(job: str) -> tuple[str, str]:
    """Asks for a job's state.

    Args:
      job: its number.

    Returns:
      Slurm's word for it, for example RUNNING, and a text with time, nodes and reason.

    Raises:
      InputError: Slurm does not know the job, or no longer does.
    """
    line = _call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T|%M|%l|%N|%r")
    if not line.strip():
        raise InputError(f"Slurm does not know job {job}, or no longer does.")
    word, used, limit, nodes, reason = line.splitlines()[0].split("|", 4)
    where = f" on {nodes}" if nodes else ""
    why = f" ({reason})" if reason != "None" else ""
    return word, f"{used} of {limit}{where}{why}"


def cancel(job: str, patience: float = 90) -> str:
    """Ends a job and waits until it is gone from its nodes.

    Args:
      job: its number.
      patience: how long to wait for its end, in seconds.

    Returns:
      The state in which it ended.

    Raises:
      InputError: Slurm refuses, or the job does not end.
    """
    _call("scancel", job)
    deadline = time.monotonic() + patience
    while (word := state(job)[0]) not in ENDED:
        if time.monotonic() > deadline:
            raise InputError(f"Job {job} is still {word}, {patience:.0f} s after it was cancelled.")
        time.sleep(1)
    return word


def requeue(job: str) -> None:
    """Puts a running job back into the queue; Slurm then ends it."""
    _call("scontrol", "requeue", job)


def hostnames(nodes: str) -> list[str]:
    """Expands a list of nodes as Slurm writes it, for example `n[1-3]`."""
    return _call("scontrol", "show", "hostnames", nodes).split()


def address(node: str) -> str:
    """Looks up the IP address by which Slurm reaches a node."""
    shown = _call("scontrol", "show", "node", "--oneliner", node)
    (name,) = re.findall(r"\bNodeAddr=(\S+)", shown)
    return socket.gethostbyname(name)


def _call(*command: str, stdin: str | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (a command of ours)
            command,
            input=stdin,
            capture_output=True,
            encoding=sys.getfilesystemencoding(),  # a script holds paths
            errors="surrogateescape",
            check=False,
            env={
                name: value
                for name, value in os.environ.items()
                if name in _NEEDED or not name.startswith("SLURM_")
            },
            cwd="/",  # where a job starts; every node has it
        )
    except FileNotFoundError as error:
        raise InputError(
            f"There is no {command[0]} on the PATH; run this on a login node of the cluster."
        ) from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        last = words[-1].removeprefix(f"{command[0]}: ") if words else "failed without a message"
        raise InputError(f"{command[0]}: {last}")
    return done.stdout
