"""Three hosts with a Slurm cluster and a database, shared by all tests, and jobs on them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.slurm import ENDED
from tests.cluster import database, slurm
from tests.cluster.database import MariaDB
from tests.cluster.hosts import Hosts
from tests.cluster.slurm import ROOT, Slurm, wait_for
from tests.support.missing import missing
from tests.support.running import SETTINGS, write_toml

THREE_NODES: dict[str, Any] = {
    "engine": "flink", "nodes": 3, "cpus": 2, "workers": 1, "memory_gb": 6, "time_limit": "30:00"
}  # fmt: skip
ONE_NODE: dict[str, Any] = {"cpus": 2, "memory_gb": 4, "constraint": "fast&here"}


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """n1, n2 and n3."""
    _needs(*slurm.PROGRAMS)
    folder = tmp_path_factory.mktemp("hosts")
    hosts = Hosts(["n1", "n2", "n3"], folder)
    yield hosts
    hosts.close()


@pytest.fixture(scope="session")
def cluster(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Cluster"]:
    """Slurm on the hosts."""
    cluster = Slurm(hosts, tmp_path_factory.mktemp("slurm") / "folder")
    yield Cluster(cluster)
    cluster.close()


@pytest.fixture(scope="session")
def mariadb(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A database server on n1."""
    _needs(*database.PROGRAMS)
    server = MariaDB(hosts, "n1", tmp_path_factory.mktemp("mariadb") / "folder")
    yield server
    server.close()


@pytest.fixture(scope="session")
def flink() -> None:
    """Flink, where `cluster_runner.py setup` puts it."""
    _needs("java", "mvn")
    done = subprocess.run(
        [sys.executable, "cluster_runner.py", "setup"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Job:
    """A submitted job."""

    number: str
    out: Path
    slurm: Slurm

    @property
    def state(self) -> str:
        """Slurm's word for it."""
        return self.slurm.state(self.number)

    @property
    def said(self) -> str:
        """Its output so far."""
        path = self.out / "cluster" / f"{self.number}.out"
        return path.read_text() if path.exists() else ""

    @property
    def record(self) -> dict[str, Any]:
        """OUT/run.json."""
        return json.loads((self.out / "run.json").read_text())

    @property
    def states(self) -> dict[str, str]:
        """How each step ended."""
        return {step["name"]: step["state"] for step in self.record["components"]}

    def reach(self, words: str, seconds: float = 900) -> None:
        """Waits until the job has said something."""
        wait_for(lambda: words in self.said or self._ended, seconds, f"{words!r} in {self.said}")
        assert words in self.said, self.said

    def end(self, seconds: float = 1500) -> str:
        """Waits for the job's end; returns Slurm's word for it."""
        wait_for(lambda: self._ended, seconds, f"the job's end; it said {self.said}")
        return self.state

    @property
    def _ended(self) -> bool:
        return self.state in ENDED

    def processes(self) -> dict[int, str]:
        """What runs on the hosts and is none of the daemons."""
        daemons = ("munged", "slurmctld", "slurmscriptd", "slurmd ", "mariadbd")
        return {
            pid: command
            for pid, command in self.slurm.hosts.processes().items()
            if not any(name in command for name in daemons)
        }

    def kill(self, host: str, *words: str) -> None:
        """Kills the processes of a host that have one of the words in their command line."""

        def found() -> list[int]:
            return [
                pid
                for pid, command in self.slurm.hosts.processes([host]).items()
                if any(word in command for word in words) and "flink.keeper" not in command
            ]

        wait_for(lambda: bool(found()), 120, f"{words} on {host}")
        for pid in found():
            with suppress(ProcessLookupError):  # the death of another one ended it
                os.kill(pid, signal.SIGKILL)


class Cluster:
    """cluster_runner.py, called on n1 as users call it."""

    def __init__(self, slurm: Slurm) -> None:
        self.slurm = slurm
        self._number = 0

    def call(self, *arguments: object, **env: str) -> str:
        """Calls cluster_runner.py; returns all it printed."""
        return self.slurm.run(sys.executable, "cluster_runner.py", *map(str, arguments), **env)

    def submit(
        self,
        out: Path,
        tranches: Path,
        cluster: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Job:
        """Submits a run."""
        self._number += 1
        toml = out.parent / f"{out.name}-{self._number}.toml"
        write_toml(toml, SETTINGS | settings | {"cluster": dict(cluster)})
        flags = ("--config", toml, "--data-root", tranches, "--output-root", out)
        printed = self.call("submit", *flags, **env or {}).strip()
        assert printed.isdigit(), printed
        return Job(printed, out, self.slurm)


def gone(job: Job, seconds: float = 30) -> dict[int, str]:
    """Waits for the job's processes to end; returns those that do not."""
    deadline = time.monotonic() + seconds
    while (left := job.processes()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def _needs(*programs: str) -> None:
    """Skips, or fails in CI, where a program is not installed, or the user is not root."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    absent = [name for name in programs if shutil.which(name, path=path) is None]
    if os.geteuid() != 0:
        absent.append("the rights of root, for network namespaces")
    if absent:
        missing(f"the cluster's tests need {', '.join(absent)}; `make test-cluster` installs it")
