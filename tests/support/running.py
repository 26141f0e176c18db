"""Runs the pipeline as a user does, in a process of its own."""

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_model_analysis as tfma
import tomli_w

from pipeline.config import PipelineConfig
from pipeline.review import formats
from pipeline.runs.reader import Runs
from pipeline.runs.seals import Seals
from schema import features

ROOT = Path(__file__).resolve().parents[2]
FLOORS: dict[str, Any] = {
    "accuracy_floor": 0.0,
    "tranche_accuracy_floor": 0.0,
    "coverage_floor": 0.0,
    "recall_floors": dict.fromkeys(features.POSTURES, 0.0),
}
_ANY_LOSS = {"overall": 1.0, "tranche": 1.0, "posture": 1.0}
# With it any model replaces any other.
LENIENT = {**FLOORS, "in_service": _ANY_LOSS, "reference": _ANY_LOSS}
# Small and quick; the floors are those of a model that has learnt next to nothing.
SETTINGS: dict[str, Any] = {
    "base_weights": "none",
    "image_size": 32,
    "ingest_size": 128,
    "alpha": 0.35,
    "scratch_epochs": 2,
    "acceptance": FLOORS,
    "wanted_accuracy": 0.4,
}


# What every run does anew, whatever is in the cache.
ANEW = {"Master table", "ModelInService", "ReferenceModel", "Pusher", "ReviewPage"}


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
    def ran(self) -> set[str]:
        """The steps whose work this run did itself."""
        return {name for name, state in self.states.items() if state == "ran"}

    @property
    def splits(self) -> dict[str, list[str]]:
        """The sorted names of each split's images; Beam writes examples in any order."""
        return {
            split: sorted(text_of(example, features.FILE_NAME) for example in examples)
            for split, examples in self.examples.items()
            if split != features.UNSELECTED
        }

    @property
    def examples(self) -> dict[str, list[tf.train.Example]]:
        """The examples of each split."""
        folder = self.artifact("TrancheExampleGen", "examples")
        return {
            split.name.removeprefix("Split-"): list(
                map(
                    tf.train.Example.FromString,
                    tf.data.TFRecordDataset(
                        [str(path) for path in split.iterdir()], "GZIP"
                    ).as_numpy_iterator(),
                )
            )
            for split in folder.glob("Split-*")
        }

    def artifact(self, node: str, key: str) -> Path:
        """The folder of an artifact of this run."""
        return Runs(self.out).read(self.record["run_id"]).outputs[node, key].folder

    def assert_as_good_as(self, other: "Ended") -> None:
        """Checks that both were pushed with the same result, and that this one left all whole."""
        assert self.status == other.status == 0, self.text
        for key in ("verdict", "counts", "accuracy"):
            assert self.record[key] == other.record[key], key
        assert self.splits == other.splits
        assert Seals(PipelineConfig(output_root=self.out)).check() == []

    @property
    def page_text(self) -> str:
        """What a reader sees on the review page, roughly: without tags, spaces single and plain."""
        page = Path(self.record["paths"]["review"]).read_text(encoding="utf-8")
        bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
        return plain(html.unescape(re.sub(r"<[^>]+>", " ", bare)))


class Command:
    """The command line, with the settings of a test written to a TOML file.

    Args:
      folder: for that file.
      within: a command that runs the rest of its command line in a setting of its own,
        such as `env TZ=UTC`.
      root: the project, or a copy of it.
    """

    def __init__(self, folder: Path, *within: str, root: Path = ROOT) -> None:
        self._folder, self._within, self._root = folder, within, root

    def run(self, out: Path, *flags: str, **settings: Any) -> Ended:
        """Runs local_runner.py on `out`."""
        return self.call(*self.arguments(out, *flags, **settings), out=out)

    def arguments(self, out: Path, *flags: str, **settings: Any) -> list[str]:
        """The arguments of Python that run local_runner.py on `out`."""
        toml = self._folder / "run.toml"
        write_toml(toml, settings)
        return ["local_runner.py", "--output-root", str(out), "--config", str(toml), *flags]

    def start(self, *arguments: object, **streams: Any) -> "subprocess.Popen[str]":
        """Starts a script of the project, with streams as `subprocess.Popen` takes them."""
        return subprocess.Popen(  # noqa: S603 (a command of ours)
            self._line(arguments), cwd=self._root, text=True, **streams
        )

    def call(self, *arguments: object, out: Path) -> Ended:
        """Runs a script of the project."""
        done = subprocess.run(  # noqa: S603 (a command of ours)
            self._line(arguments),
            cwd=self._root,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        path = out / "run.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return Ended(done.returncode, done.stdout + done.stderr, out, record)

    def _line(self, arguments: Iterable[object]) -> list[str]:
        return [*self._within, sys.executable, *map(str, arguments)]


def text_of(example: tf.train.Example, name: str) -> str:
    """A text of an example."""
    return example.features.feature[name].bytes_list.value[0].decode()


@contextmanager
def put_back(folder: Path) -> Iterator[None]:
    """Undoes in the end whatever was done to a folder; its path is the same all the time.

    In a copy elsewhere nothing would come from the cache: its keys have absolute paths.
    """
    kept = Path(shutil.copytree(folder, folder.with_name(f"{folder.name} kept"), symlinks=True))
    try:
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def write_toml(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes a settings file; a setting that is a dict becomes a table."""
    path.write_text(tomli_w.dumps(settings), encoding="utf-8")


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
        accuracy = value[""][""]["accuracy"]["doubleValue"]
        # Its row, and what comes after it.
        after = text[text.index(f"Tranche {key[0][1]} ") :] if columns else text
        assert plain(formats.percent(accuracy)) in after, key
        found += 1
    return found
