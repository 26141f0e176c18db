"""Three hosts on one machine: network namespaces joined by veth, each with an address of its own.

Nothing that listens in them can be reached from outside: the bridge between them is in
a namespace, too.
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

SUBNET = "10.99.0"


class Hosts:
    """Makes the hosts, and removes them with all that runs in them on `close`."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        """Takes the names of the hosts and a folder for their /etc/hosts."""
        self._prefix = f"lookdeep{os.getpid()}"
        self.addresses = {name: f"{SUBNET}.{i}" for i, name in enumerate(names, 1)}
        self._table = folder / "hosts"
        lines = [f"{address} {name}\n" for name, address in self.addresses.items()]
        self._table.write_text("".join(["127.0.0.1 localhost\n", *lines]))
        switch = self._space("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for name, address in self.addresses.items():
            space = self._space(name)
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            _ip(
                *("-n", space, "link", "add", "eth0", "type", "veth"),
                *("peer", "name", name, "netns", switch),
            )
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", switch, "link", "set", name, "master", "bridge", "up")

    def command(self, name: str, *command: str) -> list[str]:
        """The command line that runs a command on a host, under the host's name."""
        script = 'hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"'
        # `ip netns exec` would hide the cgroups, which slurmd wants to see.
        enter = ["nsenter", f"--net=/run/netns/{self._space(name)}", "unshare", "--uts", "--mount"]
        return [*enter, "sh", "-c", script, name, str(self._table), *command]

    def start(self, name: str, log: Path, *command: str, **env: str) -> "subprocess.Popen[bytes]":
        """Starts a program on a host; its output goes to a file."""
        with log.open("ab") as file:
            return subprocess.Popen(  # noqa: S603 (a command of ours)
                self.command(name, *command),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
            )

    def processes(self, names: Iterable[str] | None = None) -> dict[int, str]:
        """What runs on some hosts, or all: command lines by process id."""
        found = {}
        for name in names or self.addresses:
            listed = subprocess.run(  # noqa: S603 (a command of ours)
                ["ip", "netns", "pids", self._space(name)],  # noqa: S607 (whichever is on the PATH)
                capture_output=True,
                text=True,
                check=True,
            )
            for pid in map(int, listed.stdout.split()):
                try:
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                except FileNotFoundError:  # it has just ended
                    continue
                if command:  # a zombie has none
                    found[pid] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        return found

    def close(self) -> None:
        """Removes the namespaces."""
        for name in [*self.addresses, "switch"]:
            _ip("netns", "delete", self._space(name))

    def _space(self, name: str) -> str:
        return f"{self._prefix}-{name}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S603, S607 (a command of ours, whichever is on the PATH)
