"""A session of Flink, started by the process that runs Beam and ended with it."""

import functools
import json
import logging
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, Self

from components import processes
from components.errors import InputError
from pipeline.cluster import slurm
from pipeline.cluster.flink import configuration, keeper
from pipeline.cluster.flink.configuration import TaskMemory
from pipeline.cluster.flink.plan import SessionPlan
from pipeline.cluster.flink.programs import Programs

# Exit status of a process that has lost a node; the job then tries again without the node.
NODE_LOST: Final = os.EX_TEMPFAIL

_START: Final = 300.0  # seconds until all of Flink must be up
_POLL: Final = 0.5


class Session:
    """Beam's job server on this node, and the Flink to which it submits.

    That is the user's own Flink (`flink_master`), or a job manager on this node and, on each
    node that is not lost, a task manager and a pool of Beam workers.

    Attributes:
      job_endpoint: address of Beam's job server.
      workers_endpoint: where a task manager finds its node's pool.
      workers: Beam workers on each node.
      slots: number of parallel tasks on all nodes together.
    """

    def __init__(self, plan: SessionPlan) -> None:
        """Starts it and waits until it is up.

        Raises:
          InputError: it does not come up.
        """
        self._plan, self._programs = plan, Programs(plan.jars, plan.folder)
        self._environment = processes.environment()
        self.workers_endpoint = f"localhost:{plan.workers_port}"
        self.workers = plan.workers
        master = plan.master or self._start_flink()
        self.slots = _overview(master).get("slots-total", 0)
        if self.slots == 0:
            raise InputError(f"Flink at {master} does not answer, or has no task manager.")
        port, artifacts_port = _free_ports(plan.address, 2)
        self.job_endpoint = f"{plan.address}:{port}"
        self._run_here(
            "job server", self._programs.job_server(master, plan.address, port, artifacts_port)
        )
        _await(
            lambda: _listens(plan.address, port),
            f"Beam's job server does not answer; its log is {self._log('job server')}",
        )

    @classmethod
    @functools.cache
    def of_this_process(cls) -> Self:
        """The session of this process; the first call starts it."""
        return cls(SessionPlan.of_this_process())

    def _start_flink(self) -> str:
        """Starts job manager and task managers; returns HOST:PORT of Flink's REST interface."""
        plan, memory = self._plan, TaskMemory.within(self._plan.task_manager_mb)
        rpc, rest, blobs = _free_ports(plan.address, 3)
        configuration.write(
            plan.folder,
            address=plan.address,
            rpc=rpc,
            rest=rest,
            blobs=blobs,
            slots=plan.workers,
            memory=memory,
        )
        self._environment["FLINK_CONF_DIR"] = str(plan.folder)
        self._run_here("job manager", self._programs.job_manager())
        nodes = plan.healthy_nodes()
        for node in nodes:
            self._run_on(node, memory)
        master = f"{plan.address}:{rest}"
        _await(
            lambda: _overview(master).get("slots-total") == len(nodes) * plan.workers,
            f"Flink's task managers did not all register within {_START:.0f} s; the logs are in"
            f" {plan.folder}",
        )
        return master

    def _run_here(self, name: str, command: list[str]) -> None:
        """Runs a program on this node; without it the job cannot go on."""

        def lost(how: str) -> NoReturn:
            logging.error("Flink's %s was lost (%s); its log: %s", name, how, self._log(name))
            _exit(
                f"Flink's {name} on {self._plan.nodes[0]} was lost; submit the run again, and it"
                " continues from the finished components.",
                os.EX_UNAVAILABLE,
            )

        self._keep(name, [], [command], lost)

    def _run_on(self, node: str, memory: TaskMemory) -> None:
        """Runs a task manager and a pool of workers on a node, as a job step."""

        def lost(how: str) -> NoReturn:
            self._plan.mark_lost(node)
            _exit(f"Flink's task manager or workers on node {node} were lost ({how}).", NODE_LOST)

        srun = [
            "srun",
            "--overlap",
            "--nodes=1",
            "--ntasks=1",
            f"--nodelist={node}",
            f"--job-name=flink-{node}",
        ]
        pool = [
            *processes.python("pipeline.cluster.flink.worker_pool"),
            str(self._plan.workers_port),
        ]
        task_manager = self._programs.task_manager(node, slurm.address(node), memory)
        self._keep(node, srun, [pool, task_manager], lost)

    def _keep(
        self,
        name: str,
        prefix: list[str],
        commands: list[list[str]],
        lost: Callable[[str], NoReturn],
    ) -> None:
        """Starts programs that end with this process; calls `lost` if they end earlier."""
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (a command of ours)
                [*prefix, *keeper.command(*commands)],
                stdin=subprocess.PIPE,  # open as long as this process lives
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )

        def watch() -> None:
            lost(f"its process ended with {process.wait()}")

        threading.Thread(target=watch, name=f"flink-{name}", daemon=True).start()

    def _log(self, name: str) -> Path:
        return self._plan.folder / f"{name.replace(' ', '-')}.log"


_exiting = threading.Lock()


def _exit(sentence: str, status: int) -> NoReturn:
    """Ends this process; the user gets to read the sentence.

    Beam's client would wait forever, or until Flink has used up its many retries.
    """
    with _exiting:  # only the first loss is reported; others follow from it
        logging.error("%s", sentence)
        logging.shutdown()
        os._exit(status)


def _free_ports(address: str, number: int) -> list[int]:
    """Finds ports of an address on which nobody listens."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind((address, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _await(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _START
    while not holds():
        if time.monotonic() > deadline:
            raise InputError(f"{otherwise}.")
        time.sleep(_POLL)


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def _overview(master: str) -> dict[str, int]:
    """What Flink's REST interface reports; empty if it does not answer."""
    # Without a proxy: a site's proxy does not know compute nodes.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{master}/overview", timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return {}
