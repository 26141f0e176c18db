"""The sbatch script of a run."""

import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components import processes
from components.errors import InputError
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

    Raises:
      InputError: Slurm has no way to write the name of the folder.
    """
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
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
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "gres": cluster.gres,
        "signal": f"B:USR1@{cluster.warning}",
        "output": _output(folder),
        "open-mode": "append",
    }
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{name}={value}" for name, value in options.items() if value),
        "#SBATCH --requeue",
        "#SBATCH --no-kill",  # a lost node ends its own workers, not the job
        'fail() { printf "%s\\n" "$1" >&2; exit 2; }',
        *_load(cluster.modules),
        "set -eu",
        "umask 077",
        f"export PYTHONPATH={shlex.quote(processes.environment()['PYTHONPATH'])}",
        f"cd {shlex.quote(str(_ROOT))} || fail 'All nodes must see the folder of the project.'",
        # exec, so that Slurm's signals reach this process.
        f"exec {shlex.join([*processes.python('cluster_runner'), 'job', str(settings)])}",
    ]
    return "\n".join(lines) + "\n"


def _output(folder: Path) -> str:
    """The file of a job's output as a value in sbatch's directives, which are no shell's."""
    name = str(folder)
    if "\\" in name or "\n" in name:
        raise InputError(
            f"Slurm cannot write to {name!r}, because of the backslash or line break; name another"
            " folder with --output-root."
        )
    name = name.replace("%", "%%").replace('"', '\\"')  # %j is the job's number
    return f'"{name}/%j.out"'


def _load(modules: Sequence[str]) -> list[str]:
    """Loads modules, and undoes what they may do to the rest of the script.

    They are the site's code, and so not under strict mode: it may read variables that are not
    set. Only a login shell is sure to define `module`.
    """
    return [
        "former_path=$PATH",
        *(["type module &>/dev/null || . /etc/profile"] if modules else []),
        *(
            f"module load {shlex.quote(name)} || fail 'The module {name} could not be loaded on"
            " this node; see above, and correct cluster.modules in the settings.'"
            for name in modules
        ),
        'export PATH="${PATH:+$PATH:}$former_path"',  # with Slurm's commands
        'unset "${!PYTHON@}"',  # they would be another Python's
    ]
