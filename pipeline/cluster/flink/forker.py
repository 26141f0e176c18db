"""Forks a node's Beam workers from a process that has imported TensorFlow Extended once.

`pipeline.cluster.flink.worker_pool` starts it as `python -m pipeline.cluster.flink.forker`
and writes one order (a line of JSON) for each worker to its standard input. It is a process
of its own because the pool runs gRPC's threads, which do not survive a fork. It ends, and
its workers with it, when standard input closes or a worker is killed.
"""

import gc
import importlib
import os
import select
import signal
import sys
from typing import Final, NoReturn

from pydantic import BaseModel

from components import processes

# Imported before the first fork: everything that TFX's and the project's functions need.
_PRELOADED: Final = ("pipeline.pipeline", "apache_beam.runners.worker.sdk_worker_main")

_ORDERS: Final = 0  # file descriptor


class WorkerOrder(BaseModel):
    """Asks for a worker.

    Attributes:
      worker_id: its name, which it reports to the runner.
      environment: the variables that Beam's `sdk_worker_main` reads.
    """

    worker_id: str
    environment: dict[str, str]


def serve() -> int:
    """Forks a worker for each order.

    Returns:
      0 after the end of the orders, 1 if a worker was killed. No worker is left.
    """
    workers: dict[int, tuple[int, str]] = {}  # process id and name, by pidfd
    waiting = b""
    try:
        while True:
            ready, _, _ = select.select([_ORDERS, *workers], [], [])
            for pidfd in workers.keys() & set(ready):
                pid, name = workers.pop(pidfd)
                os.close(pidfd)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                # A worker whose task manager fails ends by itself, with a positive status. For
                # one that was killed the task manager would wait forever.
                if status < 0:
                    how = signal.Signals(-status).name
                    print(f"Beam worker {name} was ended by {how}.", file=sys.stderr)
                    return 1
            if _ORDERS in ready:
                chunk = os.read(_ORDERS, 65536)
                if not chunk:
                    return 0
                *lines, waiting = (waiting + chunk).split(b"\n")
                for order in map(WorkerOrder.model_validate_json, lines):
                    pid = os.fork()
                    if pid == 0:
                        _work(order)
                    workers[os.pidfd_open(pid)] = pid, order.worker_id
    finally:
        for pidfd, (pid, _) in workers.items():
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.waitpid(pid, 0)


def _work(order: WorkerOrder) -> NoReturn:
    """Is a worker, in the forked process."""
    os.environ.update(order.environment)
    from apache_beam.runners.worker import sdk_worker_main

    status = 1
    try:
        sdk_worker_main.main([])
        status = 0
    finally:  # without the interpreter's cleanup: it would join threads that fork left behind
        os._exit(status)


def main() -> int:
    """Imports, then serves orders; returns the exit status."""
    processes.lose_output()
    for module in _PRELOADED:
        importlib.import_module(module)
    gc.freeze()  # so that the workers share these pages
    sys.stderr.flush()
    return serve()


if __name__ == "__main__":
    sys.exit(main())
