"""Runs the main job as a user does, in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    text: str
    out: Path

    @property
    def record(self) -> dict[str, Any]:
        """OUT/run.json."""
        return json.loads((self.out / "run.json").read_text(encoding="utf-8"))

    @property
    def states(self) -> dict[str, str]:
        """How each step ended."""
        return {step["name"]: step["state"] for step in self.record["components"]}


class Command:
    """The command line, with the settings of a test written to a TOML file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, out: Path, *flags: str, **settings: Any) -> Ended:
        """Runs local_runner.py on `out`."""
        toml = self._folder / "run.toml"
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        toml.write_text("\n".join(lines), encoding="utf-8")
        return self.call("local_runner.py", "--output-root", out, "--config", toml, *flags, out=out)

    def call(self, *arguments: object, out: Path) -> Ended:
        """Runs a script of the project."""
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        return Ended(done.returncode, done.stdout + done.stderr, out)
