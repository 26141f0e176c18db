"""What a job knows of its Flink."""

import os
from pathlib import Path
from typing import ClassVar, Self

from pipeline.cluster.inherited import Inherited
from pipeline.cluster.settings import ClusterSettings


class FlinkJob(Inherited):
    """The Flink of a job.

    Attributes:
      folder: the job's own, mode 0700, for configuration and logs.
      jars: see `pipeline.cluster.flink.jars`.
      master: HOST:PORT of a Flink that is there already; None starts one.
      workers_port: where the pool of each node listens, on loopback.
      task_manager_mb: memory of each task manager.
    """

    VARIABLE: ClassVar[str] = "LOOKDEEP_FLINK"

    folder: Path
    jars: Path
    master: str | None
    workers_port: int
    task_manager_mb: int

    @classmethod
    def of(cls, cluster: ClusterSettings, folder: Path) -> Self:
        """For a job, in its batch script.

        Args:
          cluster: its settings.
          folder: see the attribute.
        """
        return cls(
            folder=folder,
            jars=cluster.flink_jars,
            master=cluster.flink_master,
            # A user's own pools are where Beam's are by custom; jobs that share a node
            # must not share a port.
            workers_port=50000
            if cluster.flink_master
            else 20000 + int(os.environ["SLURM_JOB_ID"]) % 10000,
            task_manager_mb=cluster.task_manager_mb,
        )
