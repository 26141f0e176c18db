"""Command lines of Flink's Java programs and of Beam's job server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.cluster.flink import jars, keeper
from pipeline.cluster.flink.configuration import MANAGER_MB, TaskMemory

# The packages that Flink's own start script opens to Flink's serialization.
_OPENED: Final = (
    "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect",
    "java.text", "java.time", "java.util", "java.util.concurrent",
    "java.util.concurrent.atomic", "java.util.concurrent.locks",
)  # fmt: skip
_EXPORTED: Final = (
    "java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5"
)  # fmt: skip


@dataclass(frozen=True)
class Programs:
    """The programs; `keeper` runs them and replaces its placeholder for a scratch folder.

    Attributes:
      jars: see `pipeline.cluster.flink.jars`.
      folder: where `configuration.write` has written.
    """

    jars: Path
    folder: Path

    def job_manager(self) -> list[str]:
        """Flink's job manager, with its REST interface."""
        return self._java(
            f"-Xmx{MANAGER_MB}m",
            f"-Djdk.net.hosts.file={self.folder / 'hosts'}",
            "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            f"--configDir={self.folder}",
            f"-Dio.tmp.dirs={keeper.SCRATCH}",
        )

    def task_manager(self, name: str, address: str, memory: TaskMemory) -> list[str]:
        """A task manager that listens on one address of its host."""
        return self._java(
            *memory.java(),
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            f"--configDir={self.folder}",
            f"-Dtaskmanager.host={address}",
            f"-Dtaskmanager.bind-host={address}",
            f"-Dtaskmanager.resource-id={name}",
            f"-Dio.tmp.dirs={keeper.SCRATCH}",
        )

    def job_server(self, master: str, address: str, port: int, artifacts_port: int) -> list[str]:
        """Beam's job server, which translates Beam's pipelines for the Flink at `master`."""
        return self._java(
            f"-Xmx{MANAGER_MB}m",
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            # Two words each: args4j cuts "--name=value" at the value's first blank.
            *("--flink-master", master),
            *("--job-host", address),
            *("--job-port", str(port)),
            *("--artifact-port", str(artifacts_port)),
            *("--expansion-port", "-1"),
            *("--artifacts-dir", str(self.folder / "artifacts")),
        )

    def _java(self, *arguments: str) -> list[str]:
        return [
            jars.java(),
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTED),
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
            f"-Djava.io.tmpdir={keeper.SCRATCH}",
            "-cp",
            f"{jars.place(self.jars)}/*",
            *arguments,
        ]
