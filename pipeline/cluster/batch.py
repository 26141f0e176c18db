"""The sbatch script of a run."""

import hashlib
import shlex
from pathlib import Path
from typing import Final

from components import processes
from pipeline.cluster.settings import ClusterSettings

_ROOT: Final = Path(__file__).resolve().parents[2]


def script(cluster: ClusterSettings, settings: Path, folder: Path) -> str:
    """Writes the script.

    Args:
      cluster: what to request from Slurm.
      settings: the file that the job reads, see `pipeline.cluster.job`.
      folder: where the job's output goes, as `JOB.out`.

    Returns:
      A script for sbatch. Of a user's jobs with the same output folder, one runs at a time.
      The signal before the time limit, loss of the first node and preemption put the job
      back into the queue under its own number.
    """
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    options = {
        "job-name": f"lookdeep-{digest}",
        "dependency": "singleton",  # waits for jobs of the same name
        "nodes": cluster.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": cluster.cpus,
        "mem": f"{cluster.memory_gb}G",
        "time": cluster.time_limit,
        "partition": cluster.partition,
        "account": cluster.account,
        "gres": cluster.gres,
        "signal": f"B:USR1@{cluster.warning}",
        "output": folder / "%j.out",
        "open-mode": "append",
    }
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{name}={_quoted(value)}" for name, value in options.items() if value),
        "#SBATCH --requeue",
        "#SBATCH --no-kill",  # a lost node ends its own workers, not the job
        "set -euo pipefail",
        "umask 077",
        *(f"module load {shlex.quote(module)}" for module in cluster.modules),
        f"cd {shlex.quote(str(_ROOT))}",
        f"export PYTHONPATH={shlex.quote(processes.environment()['PYTHONPATH'])}",
        # exec, so that Slurm's signals reach this process.
        f"exec {shlex.join([*processes.python('cluster_runner'), 'job', str(settings)])}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    """Quotes a path for sbatch, whose directives know double quotes but no other syntax."""
    return f'"{value}"' if isinstance(value, Path) else str(value)
