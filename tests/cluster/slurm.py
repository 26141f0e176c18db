"""A Slurm cluster on `Hosts`: munge, slurmctld and one slurmd a host, as Debian packages them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.hosts import Hosts

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "ip", "unshare")
MEMORY = 8000  # MB that each node claims to have

_CONFIGURATION = """
ClusterName=test
SlurmctldHost={controller}({address})
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
KillWait=10
SlurmdTimeout=20
JobRequeue=1
MinJobAge=3600
BatchStartTimeout=60
SchedulerParameters=sched_interval=5,batch_sched_delay=1
ReturnToService=2
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP OverTimeLimit=0
"""


class Slurm:
    """The cluster; commands run on its first host."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts, self.folder = hosts, folder
        self._running: list[subprocess.Popen[bytes]] = []
        first = next(iter(hosts.addresses))
        (folder / "state").mkdir(parents=True)
        configuration = folder / "slurm.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                controller=first,
                address=hosts.addresses[first],
                folder=folder,
                names=",".join(hosts.addresses),
                nodes="\n".join(
                    f"NodeName={name} NodeAddr={address} CPUs=2 RealMemory={MEMORY}"
                    " Feature=fast,here"
                    for name, address in hosts.addresses.items()
                ),
            )
        )
        self.env = {
            "SLURM_CONF": str(configuration),
            # Five JVMs that live for a minute: optimizing compilers would not pay off.
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self._start(
            first,
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        )
        wait_for(lambda: (folder / "munge.socket").exists(), 20, "munge's socket")
        self._start(first, "slurmctld", "-D")
        for name in hosts.addresses:
            (folder / f"spool-{name}").mkdir()
            self._start(name, "slurmd", "-D", "-N", name)
        wait_for(
            lambda: (
                self.run("sinfo", "-h", "-t", "idle", "-o", "%D").strip()
                == str(len(hosts.addresses))
            ),
            60,
            "idle nodes",
        )

    def run(self, *command: str, **env: str) -> str:
        """Runs a command on the first host; returns what it printed, errors last."""
        first = next(iter(self.hosts.addresses))
        done = subprocess.run(  # noqa: S603 (a command of ours)
            self.hosts.command(first, *command),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, **self.env, **env},
            timeout=300,
        )
        return done.stdout + done.stderr

    def state(self, job: str) -> str:
        """Slurm's word for the state of a job."""
        return self.run("squeue", "--noheader", "--states=all", "-o", "%T", "-j", job).strip()

    def close(self) -> None:
        """Ends the daemons, and what is left of their jobs, by their ids."""
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            process.wait(30)
        for pid in self.hosts.processes():
            os.kill(pid, signal.SIGKILL)

    def _start(self, host: str, *command: str) -> None:
        log = self.folder / f"{command[0]}-{host}.out"
        self._running.append(self.hosts.start(host, log, *command, **self.env))


def wait_for(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until something holds.

    Raises:
      TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.25)
