"""Flink's configuration: addresses, memory, timeouts."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

MANAGER_MB: Final = 512  # heap of the job manager, and of Beam's job server
_FRAMEWORK_MB: Final = 128  # Flink itself in a task manager: on the heap, and again off it
_CLASSES_MB: Final = 256
_OVERHEAD_MB: Final = 192


class TaskMemory(BaseModel):
    """The memory of a task manager, in MB.

    Attributes:
      network: buffers for data between tasks.
      managed: sorting and hashing; what exceeds it goes to disk.
      heap: of Beam's Java side.
    """

    model_config = ConfigDict(frozen=True)

    network: int
    managed: int
    heap: int

    @classmethod
    def within(cls, total: int) -> "TaskMemory":
        """Divides a total in MB into three parts, less what Flink always takes."""
        free = total - 2 * _FRAMEWORK_MB - _CLASSES_MB - _OVERHEAD_MB
        network = free // 3
        managed = (free - network) // 2
        return cls(network=network, managed=managed, heap=free - network - managed)

    def options(self) -> dict[str, str]:
        """Options of Flink; each part is given, so that Flink derives none."""
        memory = "taskmanager.memory"
        return {
            f"{memory}.framework.heap.size": f"{_FRAMEWORK_MB}m",
            f"{memory}.framework.off-heap.size": f"{_FRAMEWORK_MB}m",
            f"{memory}.task.heap.size": f"{self.heap}m",
            f"{memory}.task.off-heap.size": "0m",
            f"{memory}.network.min": f"{self.network}m",
            f"{memory}.network.max": f"{self.network}m",
            f"{memory}.managed.size": f"{self.managed}m",
            f"{memory}.jvm-metaspace.size": f"{_CLASSES_MB}m",
            f"{memory}.jvm-overhead.min": f"{_OVERHEAD_MB}m",
            f"{memory}.jvm-overhead.max": f"{_OVERHEAD_MB}m",
            # Buffers of 32 KB that each result of a task reserves; it uses more if there are
            # more. TFMA's jackknife has hundreds of results at once: the default, 512, fails.
            "taskmanager.network.sort-shuffle.min-buffers": "8",
        }

    def java(self) -> list[str]:
        """Flags of the Java virtual machine."""
        heap = _FRAMEWORK_MB + self.heap
        return [
            f"-Xms{heap}m",
            f"-Xmx{heap}m",
            f"-XX:MaxDirectMemorySize={_FRAMEWORK_MB + self.network}m",
            f"-XX:MaxMetaspaceSize={_CLASSES_MB}m",
        ]


def write(
    folder: Path, *, address: str, rpc: int, rest: int, blobs: int, slots: int, memory: TaskMemory
) -> None:
    """Writes config.yaml.

    Args:
      folder: the session's own folder.
      address: the job manager's; it listens on no other address of its host.
      rpc: port of the job manager.
      rest: port of its REST interface.
      blobs: port from which task managers fetch code.
      slots: number of parallel tasks in each task manager.
      memory: of each task manager.
    """
    options = {
        "jobmanager.rpc.address": address,
        "jobmanager.rpc.port": rpc,
        "jobmanager.bind-host": address,
        "rest.address": address,
        "rest.bind-address": address,
        "rest.port": rest,
        "blob.server.port": blobs,
        "web.submit.enable": "false",
        "jobmanager.memory.process.size": f"{MANAGER_MB * 2}m",  # required, but -Xmx decides
        "taskmanager.numberOfTaskSlots": slots,
        "taskmanager.cpu.cores": slots,
        # The end of a task manager's job step tells that it is lost. One that is merely
        # slow, on a busy node or file system, is not lost.
        "heartbeat.timeout": 300_000,
        "pekko.ask.timeout": "120s",
        "taskmanager.slot.timeout": "300s",
        "slot.request.timeout": 600_000,
        "web.timeout": 300_000,
    } | memory.options()
    lines = [f"{name}: {value}\n" for name, value in options.items()]
    (folder / "config.yaml").write_text("".join(lines))
    # The job manager looks for its blob server at "localhost", where it does not listen.
    (folder / "hosts").write_text(f"{address} localhost\n")
