"""What runs inside a batch job: the same run as `local_runner.py`, on the engine of the settings.

It starts the run again when a node was lost, and puts the job back into the queue when Slurm
signals that the time limit is near.
"""

import os
import signal
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from components.errors import InputError
from pipeline.cluster import engines, slurm
from pipeline.cluster.flink import jars
from pipeline.cluster.flink.plan import SessionPlan
from pipeline.cluster.settings import ClusterSettings
from pipeline.config import PipelineConfig
from pipeline.process import launcher


class JobSettings(BaseModel):
    """What `submit` writes for the job."""

    model_config = ConfigDict(frozen=True)

    config: PipelineConfig
    cluster: ClusterSettings


class TimeIsUp(KeyboardInterrupt):
    """Slurm will end the job soon."""


def run(place: Path) -> int:
    """Runs a submitted job.

    Args:
      place: the file of `JobSettings`; the job gets a folder beside it.

    Returns:
      The exit status, see `pipeline.runs.record.EXIT_STATUS`.

    Raises:
      InputError: the settings are gone, or cannot work on this node.
    """
    try:
        settings = JobSettings.model_validate_json(place.read_bytes())
    except OSError as error:
        raise InputError(
            f"The job's settings {place} cannot be read: {error.strerror}; submit the run again."
        ) from error
    job, console = os.environ["SLURM_JOB_ID"], Console(width=100)

    def time_is_up(number: int, frame: object) -> None:
        raise TimeIsUp("The job's time limit was near.")

    signal.signal(signal.SIGUSR1, time_is_up)
    try:
        if settings.cluster.engine == "flink":
            return _run_on_flink(settings, place.with_name(job), console)
        return launcher.launch(settings.config, console, engines.beam_args(settings.cluster))
    except KeyboardInterrupt as stop:
        # `launch` raises a KeyboardInterrupt of its own in place of the one that it caught.
        if not isinstance(stop, TimeIsUp) and not isinstance(stop.__context__, TimeIsUp):
            raise
        console.print("The time limit is near; the job goes back into the queue.")
        slurm.requeue(job)
        signal.pause()  # until Slurm ends this process
        raise


def _run_on_flink(settings: JobSettings, folder: Path, console: Console) -> int:
    """Runs the pipeline; if nodes are lost, again without them."""
    cluster = settings.cluster
    jars.java()
    jars.check(cluster.flink_jars)
    plan = SessionPlan.of_slurm_job(cluster, folder)
    plan.publish()
    while True:
        before = plan.healthy_nodes()
        status = launcher.launch(settings.config, console, engines.beam_args(cluster))
        healthy = plan.healthy_nodes()
        lost = sorted(set(before) - set(healthy))
        too_many = not healthy or len(plan.nodes) - len(healthy) > cluster.node_losses
        if status == 0 or not lost or too_many:
            return status
        console.print(
            f"Lost {', '.join(lost)}; continuing without it, from the finished components."
        )
