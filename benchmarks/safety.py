"""Cost of the safety measures: checksums, locks and atomic writes.

    python -m benchmarks.safety [--data ../shared/data] [--count 600] [--record]

Runs the whole pipeline in this process and times the functions that implement them. A timed
function that calls another one is timed as a whole. Training is cut to one epoch a phase on two
views of each picture, so the share is an upper estimate.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import costs, figures, goals, stages
from benchmarks.goals import Goal
from pipeline import beam
from pipeline.config import PipelineConfig
from pipeline.process import launcher, worker
from pipeline.runs import metadata_file, record, seals, snapshot

MOST_SHARE: Final = 3.0  # per cent

# The functions that implement each: sizes and SHA-256 of artifacts, locks of the output folder and
# of the database, records written atomically, files brought to disk.
PARTS: Final[dict[str, tuple[tuple[Any, str], ...]]] = {
    "seals": ((seals.Seals, "check"), (seals.Seals, "seal")),
    "locks": ((fcntl, "flock"), (metadata_file, "check")),
    "records": ((record, "write"),),
    "fsync": ((os, "fsync"),),
}


class Watch:
    """Sums up the time spent in the outermost of the timed functions."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.calls = dict.fromkeys(PARTS, 0)
        self._inside = False
        for part, places in PARTS.items():
            for owner, name in places:
                self._wrap(part, owner, name)

    def _wrap(self, part: str, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return original(*arguments, **named)
            self._inside, began = True, time.monotonic()
            try:
                return original(*arguments, **named)
            finally:
                self._inside = False
                self.seconds[part] += time.monotonic() - began
                self.calls[part] += 1

        setattr(owner, name, watched)


def run(config: PipelineConfig) -> None:
    """Runs the pipeline in this process."""
    with launcher.output_folder(config):
        metadata_file.check(config.metadata_path)
        snapshot.begin("cold", config, time.time())
        job = worker.Job(run_id="cold", config=config, beam_args=beam.local_args())
        result = record.record(worker.work(job))
        record.write(result, config.record_path)
    stages.assert_all_ran(result)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goal."""
    parser = figures.parser(__doc__)
    parser.add_argument("--count", type=int, default=600)
    given = parser.parse_args(arguments)
    data = given.data.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data_root = stages.linked_tranches(data, folder, given.count)
        config = stages.open_gates(data_root, folder / "out", stages.weights(data))
        watch = Watch()
        cost = costs.of(lambda: run(config))

    title = f"A cold run on {given.count:,} images, {cost.seconds:.0f} s, {cost.cpu:.0f} CPU s"
    table = Table("part", title=title)
    for heading in ("calls", "seconds", "% of the run"):
        table.add_column(heading, justify="right")
    for part, spent in watch.seconds.items():
        assert watch.calls[part], f"{part}: never called"  # noqa: S101 (there is nothing to measure)
        share = 100 * spent / cost.seconds
        table.add_row(part, str(watch.calls[part]), f"{spent:.2f}", f"{share:.2f}")
    Console().print(table)
    share = 100 * sum(watch.seconds.values()) / cost.seconds
    name = f"safety measures, % of a cold run's time, {given.count:,} images"
    goals.show([Goal.at_most(name, round(share, 2), MOST_SHARE)])
    if given.record:
        run_cost = {"seconds": cost.seconds, "cpu_seconds": cost.cpu, "share": share}
        figures.record("safety", {"run": run_cost, "parts": watch.seconds})


if __name__ == "__main__":
    main()
