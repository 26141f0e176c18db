"""What it costs that nothing gets lost: checksums, locks and writes that are whole or not there.

    python -m benchmarks.safety [--data ../shared/data] [--count 600] [--json FILE]

A whole run in this process, with a watch around the functions that do nothing else. A watched
function that calls another one is watched as a whole. Training is one epoch a phase on two
views of each picture: the share is rather too high than too low.
"""

import argparse
import fcntl
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import costs, goals, stages
from benchmarks.goals import Goal
from pipeline import beam
from pipeline.config import PipelineConfig
from pipeline.process import launcher, worker
from pipeline.runs import metadata_file, record, seals, snapshot

MOST_SHARE: Final = 3.0  # per cent

# Where each of them is done; all else is done with or without them.
PARTS: Final[dict[str, tuple[tuple[Any, str], ...]]] = {
    "seals: sizes and SHA-256 of artifacts": ((seals.Seals, "check"), (seals.Seals, "seal")),
    "locks of output folder and database": ((fcntl, "flock"), (metadata_file, "check")),
    "records that replace their file": ((record, "write"),),
    "to disk before it counts (fsync)": ((os, "fsync"),),
}


class Watch:
    """Sums up the time that functions take, whichever of them was called first."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.calls = dict.fromkeys(PARTS, 0)
        self._inside = False
        for part, places in PARTS.items():
            for owner, name in places:
                self._put_around(part, owner, name)

    def _put_around(self, part: str, owner: Any, name: str) -> None:
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
    """Does what a run does, in this process."""
    with launcher.output_folder(config):
        metadata_file.check(config.metadata_path)
        snapshot.begin("cold", config, time.time())
        job = worker.Job(run_id="cold", config=config, beam_args=beam.local_args())
        result = record.record(worker.work(job))
        record.write(result, config.record_path)
    stages.assert_all_ran(result)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--json", type=Path, help="file for the goal")
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
        assert watch.calls[part], f"{part}: none was seen"  # noqa: S101 (a figure of what did not run is none)
        share = 100 * spent / cost.seconds
        table.add_row(part, str(watch.calls[part]), f"{spent:.2f}", f"{share:.2f}")
    Console().print(table)
    share = 100 * sum(watch.seconds.values()) / cost.seconds
    name = f"what keeps it safe, % of a cold run's time, {given.count:,} images"
    goals.write(given.json, "safety", [Goal.at_most(name, round(share, 2), MOST_SHARE)])


if __name__ == "__main__":
    main()
