"""A Flink that is there already, set up on one of the hosts as docs/cluster.md asks for it."""

import os
import subprocess
import sys
from pathlib import Path

from pipeline.cluster.flink import configuration, jars
from pipeline.cluster.flink.configuration import TaskMemory
from pipeline.cluster.settings import DEFAULT_JARS
from tests.cluster.slurm import ROOT, Slurm, wait_for

_REST = 8081
_MEMORY = TaskMemory.within(1536)  # MB


class Flink:
    """Its job manager, one task manager, and beside that a pool of Beam workers."""

    def __init__(self, slurm: Slurm, host: str, folder: Path) -> None:
        self.master = f"{host}:{_REST}"
        self._slurm, self._host, self._folder = slurm, host, folder
        self._running: list[subprocess.Popen[bytes]] = []
        address = slurm.hosts.addresses[host]
        folder.mkdir()
        configuration.write(
            folder, address=address, rpc=6123, rest=_REST, blobs=6124, slots=2, memory=_MEMORY
        )
        with self._log("pool").open("wb") as log:
            pool = [sys.executable, "-m", "pipeline.cluster.flink.pool", "50000"]
            self._pool = subprocess.Popen(  # noqa: S603 (a command of ours)
                slurm.hosts.command(host, *pool),
                stdin=subprocess.PIPE,  # held open, as by a terminal
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{ROOT}"},
            )
        self._java(
            "job manager",
            f"-Djdk.net.hosts.file={folder}/hosts",
            "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            f"--configDir={folder}",
        )
        self._java(
            "task manager",
            *_MEMORY.java(),
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            f"--configDir={folder}",
            f"-Dtaskmanager.host={address}",
            f"-Dtaskmanager.bind-host={address}",
        )
        overview = f"http://{self.master}/overview"
        read = f"import urllib.request as u; print(u.urlopen('{overview}').read().decode())"
        wait_for(
            lambda: '"slots-total":2' in slurm.run("python3", "-c", read), 180, "a task manager"
        )

    def finished(self) -> int:
        """How many jobs it has done."""
        log = self._log("job manager").read_text()
        return log.count(" switched from state RUNNING to FINISHED.")

    def close(self) -> None:
        """Ends it."""
        for process in reversed(self._running):
            process.terminate()
            process.wait(60)
        self._pool.communicate(timeout=60)

    def _java(self, name: str, *arguments: str) -> None:
        flags = configuration.java_flags(str(self._folder))
        command = [jars.java(), *flags, "-cp", f"{jars.place(DEFAULT_JARS)}/*", *arguments]
        env = self._slurm.env | {"FLINK_CONF_DIR": str(self._folder)}
        self._running.append(self._slurm.hosts.start(self._host, self._log(name), *command, **env))

    def _log(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.log"
