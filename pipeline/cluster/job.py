"""The process of a batch job: `python -m pipeline.cluster.job SETTINGS`, see `batch.script`.

It runs what `local_runner.py` runs, on the engine of the settings; begins again where a node
was lost; and puts the job back into the queue when Slurm says that its time is nearly up.
"""

import os
import signal
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from components.errors import InputError
from pipeline.cluster import engines, slurm
from pipeline.cluster.allocation import Allocation
from pipeline.cluster.flink import jars
from pipeline.cluster.flink.settings import FlinkJob
from pipeline.cluster.settings import ClusterSettings
from pipeline.commands import cli
from pipeline.config import PipelineConfig
from pipeline.process import launcher


class JobSettings(BaseModel):
    """What `submit` leaves for the job."""

    model_config = ConfigDict(frozen=True)

    config: PipelineConfig
    cluster: ClusterSettings


class TimeIsUp(KeyboardInterrupt):
    """Slurm will soon end the job."""


def run(settings: JobSettings, folder: Path, console: Console) -> int:
    """Runs the pipeline, again without them if nodes are lost.

    Args:
      settings: of the run and the cluster.
      folder: the job's own, where lost nodes are noted.
      console: where the output goes.

    Returns:
      The exit status, see `pipeline.runs.record.EXIT_STATUS`.
    """
    cluster = settings.cluster
    args = engines.beam_args(cluster)
    if cluster.engine not in ("srun", "flink"):
        return launcher.launch(settings.config, console, args)
    allocation = Allocation.from_slurm(cluster.workers_per_node, folder / "lost-nodes")
    allocation.publish()
    if cluster.engine == "flink":
        jars.java()
        jars.check(cluster.flink_jars)
        FlinkJob.of(cluster, folder / "flink").publish()
    while True:
        healthy = allocation.healthy()
        status = launcher.launch(settings.config, console, args)
        lost = sorted(set(healthy) - set(allocation.healthy()))
        all_lost = len(allocation.nodes) - len(allocation.healthy())
        if status == 0 or not lost or not allocation.healthy() or all_lost > cluster.node_losses:
            return status
        console.print(f"Lost {', '.join(lost)}; going on without, from the finished components.")


def main() -> int:
    """Runs the job; returns its exit status."""
    settings = JobSettings.model_validate_json(Path(sys.argv[1]).read_bytes())
    job = os.environ["SLURM_JOB_ID"]
    folder = Path(sys.argv[1]).parent / job
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "lost-nodes").unlink(missing_ok=True)  # of a life before it was requeued

    def time_is_up(number: int, frame: object) -> None:
        raise TimeIsUp(f"The time limit of job {job} is near; it goes back into the queue.")

    signal.signal(signal.SIGUSR1, time_is_up)
    try:
        return run(settings, folder, Console(width=100))
    except KeyboardInterrupt as stop:
        # `launch` raises its own KeyboardInterrupt in place of the one that it caught.
        if isinstance(stop, TimeIsUp) or isinstance(stop.__context__, TimeIsUp):
            print("The time limit is near: back into the queue.", flush=True)
            slurm.requeue(job)
            signal.pause()  # until Slurm ends this life of the job
        return cli.INTERRUPTED
    except InputError as error:
        print(error, flush=True)
        return cli.USAGE


if __name__ == "__main__":
    sys.exit(main())
