"""Time of each step of a cold run, compared with a bare loop over the same images.

    python -m benchmarks.pipeline [--data ../shared/data] [--count 600] [--record]

The photos are linked under as many names and clips as needed. The worker runs as `lookdeep run`
starts it, with the default settings but open gates; its CPU time is read whenever a step begins or
ends. Then benchmarks/bare.py makes the bare passes over the same files, each in its own process.
Importing TensorFlow Extended is a step; Beam's import is part of ingestion.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import bare, costs, figures, goals, stages
from benchmarks.goals import Goal
from pipeline import beam
from pipeline.config import PipelineConfig, load
from pipeline.process import launcher, worker
from pipeline.runs import record, snapshot
from pipeline.runs.run import REVIEW

TRAINER: Final = "Trainer"
MOST_TIMES_BARE: Final = 2.0
MOST_SHARE: Final = 40.0
# The share of training grows with the number of images; the goal is for this many.
SHARE_COUNT: Final = 5000
# The steps with a bare pass of the same work.
BARE: Final = {
    worker.TFRECORDS: bare.INGESTION,
    "Transform": bare.TRANSFORM,
    "Evaluator": bare.EVALUATOR,
}


@dataclass
class Step:
    """Wall-clock and CPU seconds of a step, or at a moment."""

    seconds: float
    cpu: float


class Watch:
    """Reads the worker's clocks at each of its events."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._began: dict[str, Step] = {}

    def handle(self, event: dict[str, Any]) -> None:
        """Handles an event; only the begin and end of a step count."""
        if event["event"] != "stage":
            return
        now, name = Step(time.monotonic(), _cpu_of_child()), event["name"]
        if event["state"] == "running":
            self._began[name] = now
        else:
            began = self._began.pop(name)
            self.steps[name] = Step(now.seconds - began.seconds, now.cpu - began.cpu)


def _cpu_of_child() -> float:
    """CPU seconds of this thread's only child and of its own children that have ended."""
    (pid,) = Path("/proc/thread-self/children").read_text().split()
    # proc(5): fields 14 to 17, in ticks. The name in field 2 may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def run(config: PipelineConfig) -> tuple[dict[str, Step], float]:
    """Runs the pipeline from tranches to verdict; returns its steps and the total seconds."""
    config.logs_dir.mkdir(parents=True, exist_ok=True)
    started = time.time()
    run_id = snapshot.new_name(config.output_root, started)
    snapshot.begin(run_id, config, started)
    job = worker.Job(run_id=run_id, config=config, beam_args=beam.local_args())
    watch, began = Watch(), time.monotonic()
    log = config.log_path(job.run_id)
    status = launcher.supervise(launcher.WORKER, job, log, watch.handle)
    seconds = time.monotonic() - began
    result = record.read(config.record_path)
    assert status == 0 and result, launcher.last_words(log)  # noqa: S101 (there is nothing to measure)
    stages.assert_all_ran(result)
    return watch.steps, seconds


def _cells(step: Step) -> list[str]:
    return [f"{step.seconds:.1f}", f"{step.cpu:.1f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goals."""
    parser = figures.parser(__doc__)
    parser.add_argument("--count", type=int, default=600)
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
            acceptance=stages.NO_FLOORS,
        )
        steps, seconds = run(config)
        again, again_seconds = run(config)
        assert config.data_root  # noqa: S101 (for the type checker)
        needed = {
            work: costs.in_process("benchmarks.bare", work, config.data_root, config.output_root)
            for work in bare.WORKS
        }

    table = Table("step", title=f"A cold run on {given.count:,} images, {os.cpu_count()} cores")
    for heading in ("seconds", "CPU s", "bare, CPU s", "times bare"):
        table.add_column(heading, justify="right")
    reached = []
    recorded: dict[str, dict[str, float]] = {}
    for name, step in steps.items():
        cells, recorded[name] = _cells(step), asdict(step)
        if name in BARE:
            cpu = needed[BARE[name]].cpu
            recorded[name] |= {"bare_cpu": cpu, "times_bare": step.cpu / cpu}
            cells += [f"{cpu:.1f}", f"{step.cpu / cpu:.2f}"]
            reached.append(
                Goal.at_most(
                    f"{name}: CPU relative to a bare loop, {given.count:,} images",
                    round(step.cpu / cpu, 2),
                    MOST_TIMES_BARE,
                )
            )
        table.add_row(name, *cells)
    table.add_section()
    share = 100 * (1 - steps[TRAINER].seconds / seconds)
    table.add_row(f"total, {share:.0f} % of it not training", f"{seconds:.1f}")
    for name in (worker.LOADING, REVIEW):
        table.add_row(f"{name}, nothing changed", *_cells(again[name]))
    table.add_row("total, nothing changed", f"{again_seconds:.1f}")
    decoded = needed[bare.DECODING]
    table.add_row(f"bare {bare.DECODING}", f"{decoded.seconds:.1f}", f"{decoded.cpu:.1f}")
    Console().print(table)
    if given.count >= SHARE_COUNT:
        name = f"everything but training, % of a cold run's time, {given.count:,} images"
        reached.append(Goal.at_most(name, round(share, 1), MOST_SHARE))
    goals.show(reached)
    if given.record:
        recorded["total"] = {"not_training_percent": share, "seconds": seconds}
        recorded["unchanged"] = {
            "seconds": again_seconds,
            "imports": again[worker.LOADING].seconds,
            "page": again[REVIEW].seconds,
        }
        recorded["bare decoding"] = {"seconds": decoded.seconds, "cpu": decoded.cpu}
        figures.record("pipeline", {"images": given.count} | recorded)


if __name__ == "__main__":
    main()
