"""What a job knows of its allocation."""

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import ClassVar, Self

from pipeline.cluster.inherited import Inherited


class Allocation(Inherited):
    """Where Beam's workers may run.

    Attributes:
      address: the first node's address inside the cluster, which workers connect to.
      nodes: names of the nodes, the first one first.
      workers: Beam workers on each node.
      lost: file that names of nodes are appended to whose workers were lost.
    """

    VARIABLE: ClassVar[str] = "LOOKDEEP_ALLOCATION"

    address: str
    nodes: list[str]
    workers: int
    lost: Path

    @classmethod
    def from_slurm(cls, workers: int, lost: Path) -> Self:
        """Asks Slurm, in the batch script of a job.

        Args:
          workers: Beam workers on each node.
          lost: see the attribute.
        """
        names = _scontrol("show", "hostnames", os.environ["SLURM_JOB_NODELIST"]).split()
        address = address_of(os.environ["SLURMD_NODENAME"])
        return cls(address=address, nodes=names, workers=workers, lost=lost)

    def healthy(self) -> list[str]:
        """The nodes that have not lost a worker."""
        lost = set(self.lost.read_text().split()) if self.lost.exists() else set()
        return [node for node in self.nodes if node not in lost]

    def give_up(self, node: str) -> None:
        """Remembers that a node lost a worker."""
        with self.lost.open("a") as file:
            file.write(f"{node}\n")


def address_of(node: str) -> str:
    """The address that Slurm reaches a node by."""
    shown = _scontrol("show", "node", "--oneliner", node)
    (address,) = re.findall(r"\bNodeAddr=(\S+)", shown)
    return socket.gethostbyname(address)


def _scontrol(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 (a command of ours)
        ["scontrol", *arguments],  # noqa: S607 (Slurm's place is the site's choice)
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
