"""What a job tells the process that runs Beam about Flink.

It travels in the environment and not in Beam's options: those are part of TFX's cache
key, and a run on other nodes must find the components that are finished.
"""

import os
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from pipeline.cluster import slurm
from pipeline.cluster.settings import ClusterSettings

_VARIABLE: Final = "LOOKDEEP_FLINK"


class SessionPlan(BaseModel):
    """Where Flink runs, or which Flink to use.

    Attributes:
      address: address of the job's first node inside the cluster.
      nodes: names of the job's nodes, the first one first.
      workers: Beam workers on each node.
      folder: the job's own folder for configuration and logs, mode 0700.
      jars: see `pipeline.cluster.flink.jars`.
      master: HOST:PORT of a running Flink; None starts one on the nodes.
      workers_port: loopback port of each node's worker pool.
      task_manager_mb: memory of each task manager, in MB.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    nodes: list[str]
    workers: int
    folder: Path
    jars: Path
    master: str | None
    workers_port: int
    task_manager_mb: int

    @classmethod
    def of_slurm_job(cls, cluster: ClusterSettings, folder: Path) -> Self:
        """Makes the plan in a job's batch script; no node counts as lost yet.

        Args:
          cluster: the job's settings.
          folder: see the attribute; it is created.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plan = cls(
            address=slurm.address(os.environ["SLURMD_NODENAME"]),
            nodes=slurm.hostnames(os.environ["SLURM_JOB_NODELIST"]),
            workers=cluster.workers_per_node,
            folder=folder,
            jars=cluster.flink_jars,
            master=cluster.flink_master,
            # Beam's usual port for pools that a user started. Jobs that share a node
            # must not share a port.
            workers_port=50000
            if cluster.flink_master
            else 20000 + int(os.environ["SLURM_JOB_ID"]) % 10000,
            task_manager_mb=cluster.task_manager_mb,
        )
        plan._lost.unlink(missing_ok=True)  # from before the job was requeued
        return plan

    @classmethod
    def of_this_process(cls) -> Self:
        """Reads the plan that the job has published.

        Raises:
          RuntimeError: this process belongs to no job.
        """
        content = os.environ.get(_VARIABLE)
        if content is None:
            raise RuntimeError("This Beam runner works only inside a job of cluster_runner.py.")
        return cls.model_validate_json(content)

    def publish(self) -> None:
        """Puts the plan into the environment of all processes started from now on."""
        os.environ[_VARIABLE] = self.model_dump_json()

    def healthy_nodes(self) -> list[str]:
        """The nodes that are not marked as lost."""
        lost = set(self._lost.read_text().split()) if self._lost.exists() else set()
        return [node for node in self.nodes if node not in lost]

    def mark_lost(self, node: str) -> None:
        """Leaves a node out of later sessions of this job."""
        with self._lost.open("a") as file:
            file.write(f"{node}\n")

    @property
    def _lost(self) -> Path:
        return self.folder / "lost-nodes"
