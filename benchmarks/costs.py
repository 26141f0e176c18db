"""Measures wall-clock time, CPU time and memory of work in a process of its own."""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """The cost of a piece of work.

    Attributes:
      seconds: wall clock.
      cpu: CPU seconds, user and system, of all threads and of child processes.
      peak: peak memory of the process, bytes, without child processes.
    """

    seconds: float
    cpu: float
    peak: int


def of(work: Callable[[], object]) -> Cost:
    """Does a piece of work in this process and returns its cost."""
    seconds, cpu = time.monotonic(), _cpu_seconds()
    work()
    return Cost(time.monotonic() - seconds, _cpu_seconds() - cpu, peak_memory())


def told(cost: Cost) -> None:
    """Prints a cost for `in_process` to read."""
    print(json.dumps(asdict(cost)))


def in_process(module: str, *arguments: str | Path) -> Cost:
    """Runs a module that ends with `told`, and returns the cost it prints.

    Raises:
      subprocess.CalledProcessError: the module failed; its stderr is on ours.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 (a command of ours)
    if run.returncode:
        sys.stderr.write(run.stderr)
        run.check_returncode()
    return Cost(**json.loads(run.stdout.splitlines()[-1]))


def peak_memory() -> int:
    """The peak memory of this process, bytes.

    Not from getrusage, which includes the parent's memory from before exec.
    """
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak  # noqa: S101 (for the type checker)
    return int(peak[1]) * 1024


def _cpu_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
