"""The pools of Beam workers on the nodes of this job, as the process that runs Beam sees them."""

import functools
import itertools
import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable
from typing import Final, Self

from components import processes
from pipeline.cluster.allocation import Allocation
from pipeline.cluster.pool import Order

# What this process ends with when a node is lost; the job then tries again without the node.
NODE_LOST: Final = os.EX_TEMPFAIL


class Nodes:
    """One pool on each node that still has its workers.

    Beam's runner waits for ever for a worker that is gone, and has no way to be told.
    So this process ends, with `NODE_LOST`, and whoever started it may start it
    again: finished components are not run a second time.
    """

    def __init__(self, allocation: Allocation) -> None:
        """Starts the pools; they import while the runner goes on."""
        self._allocation = allocation
        self.address = allocation.address
        self._pools = [_Pool(node, self._lose) for node in allocation.healthy()]
        self.workers = allocation.workers * len(self._pools)
        self._turns = itertools.cycle(self._pools)
        self._loss = threading.Lock()

    @classmethod
    @functools.cache
    def of_this_process(cls) -> Self:
        """The pools, started with the first call; they end with this process."""
        return cls(Allocation.of_this_job())

    def start(self, order: Order) -> None:
        """Starts a worker, on each node in turn."""
        next(self._turns).start(order)

    def _lose(self, node: str, how: str) -> None:
        with self._loss:  # the first one to be lost is the one to tell of
            self._allocation.give_up(node)
            logging.error("A Beam worker on node %s was lost (%s).", node, how)
            logging.shutdown()
            os._exit(NODE_LOST)


class _Pool:
    """A pool and the thread that listens to it."""

    def __init__(self, node: str, lose: Callable[[str, str], None]) -> None:
        self._node, self._lose = node, lose
        self._process = subprocess.Popen(  # noqa: S603 (a command of ours)
            [  # noqa: S607 (Slurm's place is the site's choice)
                "srun",
                "--overlap",
                "--nodes=1",
                "--ntasks=1",
                f"--nodelist={node}",
                f"--job-name=beam-{node}",
                *processes.python("pipeline.cluster.pool"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=processes.environment(),
        )
        threading.Thread(target=self._listen, name=f"pool-{node}", daemon=True).start()

    def start(self, order: Order) -> None:
        assert self._process.stdin is not None  # noqa: S101 (for the type checker)
        self._process.stdin.write(order.model_dump_json().encode() + b"\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (for the type checker)
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["event"] == "ended" and answer["status"] != 0:
                self._lose(
                    self._node, f"worker {answer['worker_id']} ended with {answer['status']}"
                )
        self._lose(self._node, f"its step ended with {self._process.wait()}")
