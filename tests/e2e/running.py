"""Runs the main job as a user does, in a process of its own."""

import html
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma

from pipeline.review import formats
from schema import features

ROOT = Path(__file__).resolve().parents[2]
# Small and quick; the floors are those of a model that has learnt next to nothing.
SETTINGS: dict[str, Any] = {
    "base_weights": "none",
    "image_size": 32,
    "ingest_size": 128,
    "alpha": 0.35,
    "scratch_epochs": 2,
    "accuracy_floor": 0.0,
    "tranche_accuracy_floor": 0.0,
    "coverage_floor": 0.0,
    "wanted_accuracy": 0.4,
}


@dataclass(frozen=True)
class Ended:
    """How a command ended; `record` is OUT/run.json as it left it."""

    status: int
    text: str
    out: Path
    record: dict[str, Any]

    @property
    def states(self) -> dict[str, str]:
        """How each step ended."""
        return {step["name"]: step["state"] for step in self.record["components"]}

    @property
    def page_text(self) -> str:
        """What a reader sees on the review page, roughly: without tags, spaces single and plain."""
        page = Path(self.record["paths"]["review"]).read_text(encoding="utf-8")
        bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
        return plain(html.unescape(re.sub(r"<[^>]+>", " ", bare)))


class Command:
    """The command line, with the settings of a test written to a TOML file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, out: Path, *flags: str, **settings: Any) -> Ended:
        """Runs local_runner.py on `out`."""
        return self.call(*self.arguments(out, *flags, **settings), out=out)

    def arguments(self, out: Path, *flags: str, **settings: Any) -> list[str]:
        """The arguments of Python that run local_runner.py on `out`."""
        toml = self._folder / "run.toml"
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        toml.write_text("\n".join(lines), encoding="utf-8")
        return ["local_runner.py", "--output-root", str(out), "--config", str(toml), *flags]

    def start(self, *arguments: object, **streams: Any) -> "subprocess.Popen[str]":
        """Starts a script of the project, with streams as `subprocess.Popen` takes them."""
        command = [sys.executable, *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, text=True, **streams)  # noqa: S603 (ours)

    def call(self, *arguments: object, out: Path) -> Ended:
        """Runs a script of the project."""
        done = subprocess.run(  # noqa: S603 (a command of ours)
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        path = out / "run.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return Ended(done.returncode, done.stdout + done.stderr, out, record)


def plain(text: str) -> str:
    """The same text with single, plain spaces."""
    return " ".join(text.split())


def accuracies_on_the_page(ended: Ended) -> int:
    """Checks that the page shows TFMA's accuracy overall and of each tranche; returns how many."""
    text = ended.page_text
    found = 0
    result = tfma.load_eval_result(ended.record["paths"]["evaluation"])
    for key, value in result.slicing_metrics:
        columns = [column for column, _ in key]
        if columns not in ([], [features.TRANCHE]):
            continue
        accuracy = value[""][""]["accuracy"]["boundedValue"]["value"]
        # Its row, and what comes after it.
        after = text[text.index(f"Tranche {key[0][1]} ") :] if columns else text
        assert plain(formats.percent(accuracy)) in after, key
        found += 1
    return found
