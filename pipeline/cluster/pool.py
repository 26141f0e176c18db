"""The Beam workers of one node: a process that imports what they need, once, and forks them.

`pipeline.cluster.nodes` starts it on each node with srun, as
`python -m pipeline.cluster.pool`. The two speak in lines of JSON: an order on
standard input asks for a worker, an answer on standard output says `ready`, or
that a worker `ended` and how. No port is opened. Once standard input closes,
the pool ends its workers and itself.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import sys
from typing import Final, NoReturn

from pydantic import BaseModel

from components import processes

# Imported before workers are forked: all that TFX's and the project's functions stand on.
_PRELOADED: Final = ("pipeline.pipeline", "apache_beam.runners.worker.sdk_worker_main")

_ORDERS: Final = 0  # descriptor that orders are read from


class Order(BaseModel):
    """Asks for a worker.

    Attributes:
      worker_id: its name, which it gives to the runner.
      environment: what Beam's `sdk_worker_main` reads from the environment.
    """

    worker_id: str
    environment: dict[str, str]


class Pool:
    """Starts workers and hears of their ends."""

    def __init__(self, answers: int) -> None:
        """Takes the descriptor that answers are written to."""
        self._answers = answers
        self._selector = selectors.DefaultSelector()
        self._selector.register(_ORDERS, selectors.EVENT_READ)

    def serve(self) -> None:
        """Follows orders until there are no more; then no worker is left."""
        waiting = b""
        self._answer(event="ready")
        while True:
            for key, _ in self._selector.select():
                if key.fd != _ORDERS:
                    self._bury(key.fd, *key.data)
                    continue
                chunk = os.read(_ORDERS, 65536)
                if not chunk:
                    self._end()
                    return
                *lines, waiting = (waiting + chunk).split(b"\n")
                for line in lines:
                    self._start(Order.model_validate_json(line))

    def _start(self, order: Order) -> None:
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            _work(order)
        self._selector.register(
            os.pidfd_open(pid), selectors.EVENT_READ, data=(pid, order.worker_id)
        )

    def _bury(self, descriptor: int, pid: int, worker_id: str) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._answer(event="ended", worker_id=worker_id, status=status)

    def _end(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.fd != _ORDERS:
                signal.pidfd_send_signal(key.fd, signal.SIGKILL)
                os.waitpid(key.data[0], 0)

    def _answer(self, **answer: object) -> None:
        os.write(self._answers, json.dumps(answer).encode() + b"\n")


def _work(order: Order) -> NoReturn:
    """The life of a worker, in the forked process."""
    os.environ.update(order.environment)
    from apache_beam.runners.worker import sdk_worker_main

    status = 1
    try:
        sdk_worker_main.main([])
        status = 0
    finally:  # not through the interpreter's end: it would join what fork has left behind
        os._exit(status)


def main() -> None:
    """Imports, then serves orders."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    processes.lose_output_on_full_disk()
    for module in _PRELOADED:
        importlib.import_module(module)
    gc.freeze()  # so that the workers share these pages
    sys.stderr.flush()
    Pool(answers).serve()


if __name__ == "__main__":
    main()
