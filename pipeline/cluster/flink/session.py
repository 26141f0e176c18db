"""A session of Flink inside a Slurm job, as the process that runs Beam sees it."""

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
from pipeline.cluster.allocation import Allocation, address_of
from pipeline.cluster.flink import configuration, jars, keeper
from pipeline.cluster.flink.configuration import TaskMemory
from pipeline.cluster.flink.settings import FlinkJob
from pipeline.cluster.nodes import NODE_LOST

_START: Final = 300.0  # seconds until all of Flink has to be there
_POLL: Final = 0.5

_JOB_MANAGER: Final = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER: Final = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER: Final = "org.apache.beam.runners.flink.FlinkJobServerDriver"


class Session:
    """Beam's job server on this node, and the Flink that it submits to.

    Flink is the user's own (`flink_master`), or a job manager on this node and, on each
    node that has not been lost, a task manager and a pool of Beam workers.

    Attributes:
      job_endpoint: where Beam's job server listens.
      workers_endpoint: where a task manager finds the pool of its node.
      workers: Beam workers on each node.
      slots: tasks at once on all nodes.
    """

    def __init__(self, job: FlinkJob, allocation: Allocation) -> None:
        """Starts it.

        Raises:
          InputError: it does not come up.
        """
        self._allocation, self._java, self._jars = allocation, jars.java(), jars.place(job.jars)
        self._folder = job.folder
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._environment = processes.environment()
        self.workers_endpoint = f"localhost:{job.workers_port}"
        self.workers = allocation.workers
        address = allocation.address
        master = self._start(job, address) if job.master is None else job.master
        self.slots = _overview(master).get("slots-total", 0)
        if self.slots == 0:
            raise InputError(f"Flink at {master} does not answer, or has no task manager.")
        port, artifacts = _free_ports(address, 2)
        self.job_endpoint = f"{address}:{port}"
        self._run_here(
            "job server",
            f"-Xmx{configuration.MANAGER_MB}m",
            _JOB_SERVER,
            f"--flink-master={master}",
            f"--job-host={address}",
            f"--job-port={port}",
            f"--artifact-port={artifacts}",
            "--expansion-port=-1",
            f"--artifacts-dir={self._folder / 'artifacts'}",
        )
        _await(
            lambda: _answers(address, port),
            "Beam's job server does not answer; its log is " + str(self._log("job server")),
        )

    @classmethod
    @functools.cache
    def of_this_process(cls) -> Self:
        """The session, started with the first call; it ends with this process."""
        return cls(FlinkJob.of_this_job(), Allocation.of_this_job())

    def _start(self, job: FlinkJob, address: str) -> str:
        """Starts job manager and task managers; returns the address of Flink's REST."""
        memory = TaskMemory.within(job.task_manager_mb)
        rpc, rest, blobs = _free_ports(address, 3)
        configuration.write(
            self._folder,
            address=address,
            rpc=rpc,
            rest=rest,
            blobs=blobs,
            slots=self.workers,
            memory=memory,
        )
        self._environment["FLINK_CONF_DIR"] = str(self._folder)
        self._run_here(
            "job manager",
            f"-Xmx{configuration.MANAGER_MB}m",
            f"-Djdk.net.hosts.file={self._folder / 'hosts'}",
            _JOB_MANAGER,
            f"--configDir={self._folder}",
            f"-Dio.tmp.dirs={keeper.SCRATCH}",
        )
        nodes = self._allocation.healthy()
        for node in nodes:
            self._run_there(node, job.workers_port, memory)
        master = f"{address}:{rest}"
        _await(
            lambda: _overview(master).get("slots-total") == len(nodes) * self.workers,
            f"Flink's task managers are not all there after {_START:.0f} s; logs are in"
            f" {self._folder}",
        )
        return master

    def _run_here(self, name: str, *arguments: str) -> None:
        """Runs one of Flink's programs on this node, without which there is no going on."""

        def end(how: str) -> NoReturn:
            logging.error("Flink's %s was lost (%s); its log: %s", name, how, self._log(name))
            _end(
                f"Flink's {name} on {self._allocation.nodes[0]} was lost; submit the run again and"
                " it goes on from the finished components.",
                os.EX_UNAVAILABLE,
            )

        self._keep(name, [], [self._command(*arguments)], end)

    def _run_there(self, node: str, workers_port: int, memory: TaskMemory) -> None:
        """Runs a task manager and a pool on a node."""

        def end(how: str) -> NoReturn:
            self._allocation.give_up(node)
            _end(f"Flink's task manager or workers on node {node} were lost ({how}).", NODE_LOST)

        address = address_of(node)
        srun = [
            "srun",
            "--overlap",
            "--nodes=1",
            "--ntasks=1",
            f"--nodelist={node}",
            f"--job-name=flink-{node}",
        ]
        task_manager = self._command(
            *memory.java(),
            _TASK_MANAGER,
            f"--configDir={self._folder}",
            f"-Dtaskmanager.host={address}",
            f"-Dtaskmanager.bind-host={address}",
            f"-Dtaskmanager.resource-id={node}",
            f"-Dio.tmp.dirs={keeper.SCRATCH}",
        )
        pool = [*processes.python("pipeline.cluster.flink.pool"), str(workers_port)]
        self._keep(node, srun, [pool, task_manager], end)

    def _keep(
        self,
        name: str,
        prefix: list[str],
        commands: list[list[str]],
        end: Callable[[str], NoReturn],
    ) -> None:
        """Starts programs that end with this process; tells if they end before."""
        words: list[str] = []
        for command in commands:
            words += [keeper.SEPARATOR, *command] if words else command
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (a command of ours)
                [*prefix, *processes.python("pipeline.cluster.flink.keeper"), *words],
                stdin=subprocess.PIPE,  # held open as long as this process lives
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )

        def watch() -> None:
            end(f"its process ended with {process.wait()}")

        threading.Thread(target=watch, name=f"flink-{name}", daemon=True).start()

    def _command(self, *arguments: str) -> list[str]:
        flags = configuration.java_flags(keeper.SCRATCH)
        return [self._java, *flags, "-cp", f"{self._jars}/*", *arguments]

    def _log(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.log"


_ending = threading.Lock()


def _end(sentence: str, status: int) -> NoReturn:
    """Ends this process; its last words are what the user gets to read.

    Beam's client would wait, for ever or until Flink's many retries are over.
    """
    with _ending:  # the first one to be lost is the one to tell of
        logging.error("%s", sentence)
        logging.shutdown()
        os._exit(status)


def _free_ports(address: str, number: int) -> list[int]:
    """Ports of an address that nobody listens on."""
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


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def _overview(master: str) -> dict[str, int]:
    """What a Flink's REST interface says of it; nothing while it does not answer."""
    # Straight to it: a site's proxy knows no compute nodes.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{master}/overview", timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return {}
