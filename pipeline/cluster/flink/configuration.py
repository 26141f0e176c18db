"""How a session of Flink is set up: its addresses, its memory, and Java's flags for it."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

MANAGER_MB: Final = 512  # heap of the job manager, and of Beam's job server
_FRAMEWORK_MB: Final = 128  # of a task manager, what Flink itself takes, twice
_CLASSES_MB: Final = 256
_OVERHEAD_MB: Final = 192

# What Flink's own start script opens of Java 11 and later for its serialization.
_OPENED: Final = (
    "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect",
    "java.text", "java.time", "java.util", "java.util.concurrent",
    "java.util.concurrent.atomic", "java.util.concurrent.locks",
)  # fmt: skip
_EXPORTED: Final = (
    "java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5"
)  # fmt: skip


class TaskMemory(BaseModel):
    """The memory of a task manager, in MB.

    Attributes:
      network: buffers for what goes from task to task.
      managed: sorting and hashing; more than that goes to disk.
      heap: of Beam's Java side.
    """

    model_config = ConfigDict(frozen=True)

    network: int
    managed: int
    heap: int

    @classmethod
    def within(cls, total: int) -> "TaskMemory":
        """Divides what is left of a total of MB after what Flink always takes."""
        free = total - 2 * _FRAMEWORK_MB - _CLASSES_MB - _OVERHEAD_MB
        network = free // 3
        managed = (free - network) // 2
        return cls(network=network, managed=managed, heap=free - network - managed)

    def options(self) -> dict[str, str]:
        """In Flink's words; it computes none of them itself."""
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
            # Of 32 KB, for each result of a task; more are used if there are more. TFMA's
            # jackknife has hundreds of results at once, where the default, 512, fails.
            "taskmanager.network.sort-shuffle.min-buffers": "8",
        }

    def java(self) -> list[str]:
        """In Java's words."""
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
      folder: the job's own; files of a session go there, too.
      address: of the first node; nothing listens on another one of it.
      rpc: port of the job manager.
      rest: port of its REST interface.
      blobs: port that task managers fetch code from.
      slots: tasks at once on each task manager.
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
        "jobmanager.memory.process.size": f"{MANAGER_MB * 2}m",  # asked for, not used: -Xmx is
        "taskmanager.numberOfTaskSlots": slots,
        "taskmanager.cpu.cores": slots,
        # A lost task manager is told by its step's end. Whoever is merely slow, on a busy
        # node or file system, is not lost.
        "heartbeat.timeout": 300_000,
        "pekko.ask.timeout": "120s",
        "taskmanager.slot.timeout": "300s",
        "slot.request.timeout": 600_000,
        "web.timeout": 300_000,
    } | memory.options()
    lines = [f"{name}: {value}\n" for name, value in options.items()]
    (folder / "config.yaml").write_text("".join(lines))
    # The job manager sends code by way of the name localhost, where it does not listen.
    (folder / "hosts").write_text(f"{address} localhost\n")


def java_flags(scratch: str) -> list[str]:
    """Java's flags for each of Flink's processes.

    Args:
      scratch: a folder of each node's own.
    """
    return [
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTED),
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        f"-Djava.io.tmpdir={scratch}",
    ]
