"""Time of each component of a cold run, beside what its images need bare.

    python -m benchmarks.pipeline [--data ../shared/data] [--count 600] [--json FILE]

The photos are linked under as many names and clips as are asked for. The worker runs as
`lookdeep run` starts it, with the default settings but open gates; its CPU time is read
whenever it says that a step begins or ends. Then benchmarks/bare.py does the bare passes
over the same files, each in a process of its own. What TensorFlow Extended takes to import
is a step of its own; Beam's import counts as ingestion's.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import bare, costs, goals, stages
from benchmarks.goals import Goal
from pipeline import beam
from pipeline.config import PipelineConfig, load
from pipeline.process import launcher, worker
from pipeline.runs import record
from pipeline.runs.run import REVIEW

TRAINER: Final = "Trainer"
MOST_TIMES_BARE: Final = 2.0
MOST_SHARE: Final = 40.0
# The share of training depends on how many images there are; the goal is for this many.
SHARE_COUNT: Final = 5000
# The steps with a bare pass of the same work.
BARE: Final = {
    worker.TFRECORDS: bare.INGESTION,
    "Transform": bare.TRANSFORM,
    "Evaluator": bare.EVALUATOR,
}


@dataclass
class Step:
    """A step of the run: wall-clock and CPU seconds."""

    seconds: float
    cpu: float


class Watch:
    """Hears a worker's events and reads its clock at each."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._began: dict[str, Step] = {}

    def handle(self, event: dict[str, Any]) -> None:
        """Takes an event; only begins and ends of steps count."""
        if event["event"] != "stage":
            return
        now, name = Step(time.monotonic(), _cpu_of_child()), event["name"]
        if event["state"] == "running":
            self._began[name] = now
        else:
            began = self._began.pop(name)
            self.steps[name] = Step(now.seconds - began.seconds, now.cpu - began.cpu)


def _cpu_of_child() -> float:
    """CPU seconds of our only child, and of those that it started and that have ended."""
    (pid,) = Path("/proc/thread-self/children").read_text().split()
    # proc(5): fields 14 to 17, in ticks. The name in field 2 may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def run(name: str, config: PipelineConfig) -> tuple[dict[str, Step], float]:
    """Runs everything from tranches to verdict; returns the steps, and seconds in all."""
    config.logs_dir.mkdir(parents=True, exist_ok=True)
    job = worker.Job(run_id=name, config=config, started=time.time(), beam_args=beam.local_args())
    watch, began = Watch(), time.monotonic()
    log = config.log_path(job.run_id)
    status = launcher.supervise(launcher.WORKER, job, log, watch.handle)
    seconds = time.monotonic() - began
    result = record.read(config.record_path)
    assert status == 0 and result, launcher.last_words(log)  # noqa: S101 (a figure of what did not run is none)
    stages.assert_all_ran(result)
    return watch.steps, seconds


def _figures(step: Step) -> list[str]:
    return [f"{step.seconds:.1f}", f"{step.cpu:.1f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--json", type=Path, help="file for the goals")
    given = parser.parse_args(arguments)
    data = given.data.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = load(
            None,
            data_root=stages.linked_tranches(data, folder, given.count),
            output_root=folder / "out",
            base_weights=str(stages.weights(data)),
            max_label_drift=1.0,
            accuracy_floor=0.0,
            tranche_accuracy_floor=0.0,
        )
        steps, seconds = run("cold", config)
        again, again_seconds = run("again", config)
        assert config.data_root  # noqa: S101 (for the type checker)
        needed = {
            work: costs.in_process("benchmarks.bare", work, config.data_root, config.output_root)
            for work in bare.WORKS
        }

    table = Table("step", title=f"A cold run on {given.count:,} images, {os.cpu_count()} cores")
    for heading in ("seconds", "CPU s", "bare, CPU s", "times bare"):
        table.add_column(heading, justify="right")
    reached = []
    for name, step in steps.items():
        figures = _figures(step)
        if name in BARE:
            cpu = needed[BARE[name]].cpu
            figures += [f"{cpu:.1f}", f"{step.cpu / cpu:.2f}"]
            reached.append(
                Goal.at_most(
                    f"{name}: CPU by what its images need bare, {given.count:,} images",
                    round(step.cpu / cpu, 2),
                    MOST_TIMES_BARE,
                )
            )
        table.add_row(name, *figures)
    table.add_section()
    share = 100 * (1 - steps[TRAINER].seconds / seconds)
    table.add_row(f"in all, {share:.0f} % of it not training", f"{seconds:.1f}")
    for name in (worker.LOADING, REVIEW):
        table.add_row(f"{name}, nothing changed", *_figures(again[name]))
    table.add_row("in all, nothing changed", f"{again_seconds:.1f}")
    decoded = needed[bare.DECODING]
    table.add_row(f"bare {bare.DECODING}", f"{decoded.seconds:.1f}", f"{decoded.cpu:.1f}")
    Console().print(table)
    if given.count >= SHARE_COUNT:
        name = f"all but training, % of a cold run's time, {given.count:,} images"
        reached.append(Goal.at_most(name, round(share, 1), MOST_SHARE))
    goals.write(given.json, "pipeline", reached)


if __name__ == "__main__":
    main()
