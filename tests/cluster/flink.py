"""A Flink that runs already, set up on all hosts as docs/cluster.md asks for it."""

import os
import subprocess
from pathlib import Path

from components import processes
from pipeline.cluster.flink import configuration, keeper
from pipeline.cluster.flink.configuration import TaskMemory
from pipeline.cluster.flink.programs import Programs
from pipeline.cluster.settings import DEFAULT_JARS
from tests.cluster.slurm import ROOT, Slurm, wait_for

_REST = 8081
_MEMORY = TaskMemory.within(1536)  # MB


class Flink:
    """A job manager on the first host; on each a task manager and a pool of Beam workers."""

    def __init__(self, slurm: Slurm, folder: Path) -> None:
        self._slurm, self._folder = slurm, folder
        self._running: list[subprocess.Popen[bytes]] = []
        addresses = slurm.hosts.addresses
        first = next(iter(addresses))
        self.master = f"{first}:{_REST}"
        folder.mkdir()
        configuration.write(
            folder,
            address=addresses[first],
            rpc=6123,
            rest=_REST,
            blobs=6124,
            slots=1,
            memory=_MEMORY,
        )
        programs = Programs(DEFAULT_JARS, folder)
        self._keep(first, "job-manager", programs.job_manager())
        for name, address in addresses.items():
            pool = [*processes.python("pipeline.cluster.flink.worker_pool"), "50000"]
            self._keep(name, name, pool, programs.task_manager(name, address, _MEMORY))
        overview = f"http://{self.master}/overview"
        read = f"import urllib.request as u; print(u.urlopen('{overview}').read().decode())"
        wait_for(
            lambda: f'"slots-total":{len(addresses)}' in slurm.run("python3", "-c", read),
            300,
            "all task managers",
        )

    def finished(self) -> int:
        """How many jobs it has finished."""
        log = (self._folder / "job-manager.log").read_text()
        return log.count(" switched from state RUNNING to FINISHED.")

    def close(self) -> None:
        """Ends it."""
        for process in reversed(self._running):
            process.communicate(timeout=60)  # closes its standard input

    def _keep(self, host: str, name: str, *commands: list[str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 (a command of ours)
                self._slurm.hosts.command(host, *keeper.command(*commands)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={
                    **os.environ,
                    **self._slurm.env,
                    "FLINK_CONF_DIR": str(self._folder),
                    "PYTHONPATH": str(ROOT),
                },
            )
        self._running.append(process)
