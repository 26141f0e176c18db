"""A MariaDB server on one of the hosts."""

import subprocess
from pathlib import Path

from tests.cluster.hosts import Hosts
from tests.cluster.slurm import wait_for

PROGRAMS = ("mariadbd", "mariadb-install-db", "mariadb")
USER, PASSWORD = "lookdeep", 'n@t: "so"/se%20cret#?&$x'
VARIABLE = "LOOKDEEP_DB"


class MariaDB:
    """The server, with an account that may make databases."""

    def __init__(self, hosts: Hosts, host: str, folder: Path) -> None:
        address = hosts.addresses[host]
        self.settings = {"kind": "mysql", "host": address, "user": USER, "password_env": VARIABLE}
        self._socket = folder / "socket"
        data = folder / "data"
        folder.mkdir()
        subprocess.run(  # noqa: S603 (a command of ours)
            ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",  # noqa: S607 (whichever is on the PATH)
             "--auth-root-authentication-method=socket", "--skip-test-db"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._process = hosts.start(
            host, folder / "mariadbd.out", "mariadbd", "--no-defaults", "--user=root",
            f"--datadir={data}", f"--socket={self._socket}", f"--bind-address={address}",
            "--innodb-buffer-pool-size=32M",
        )  # fmt: skip
        wait_for(self._socket.exists, 60, "MariaDB's socket")
        self.query(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
        self.query(f"GRANT ALL ON *.* TO '{USER}'@'%'")

    def query(self, text: str) -> str:
        """Asks it something, as its administrator; returns the answer's lines."""
        done = subprocess.run(  # noqa: S603 (a command of ours)
            ["mariadb", "--no-defaults", f"--socket={self._socket}", "--user=root", "-N", "-e",  # noqa: S607 (whichever is on the PATH)
             text],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(60)
