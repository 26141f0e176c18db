"""Size of a review page, and how long `lookdeep review` takes to draw it.

    python -m benchmarks.review_page [--data ../shared/data] [--images 8000] [--record]

The photos are repeated under new names and clips until there are as many images as asked for.
Seven eighths of them go to the test split, and a small network is trained on the rest for one
epoch, because its answers do not matter here. The time of a process that only makes the command's
imports is given for comparison. On 2 cores, all this takes a few minutes.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import figures, stages
from benchmarks.photos import link_photos
from components.ingest.master import build_master
from components.ingest.tfrecords import write_tfrecords
from pipeline import beam
from pipeline.config import PipelineConfig, SplitShares
from pipeline.runs import snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.run import REVIEW, Snapshot
from schema import features

RUN: Final = "benchmark"


def run(data: Path, out: Path, images: int) -> PipelineConfig:
    """Runs the pipeline, which draws the page once."""
    from pipeline.process.worker import build_pipeline, run_pipeline

    config = PipelineConfig(
        data_root=data / "tranches",
        output_root=out,
        base_weights="none",
        splits=SplitShares(train=1, eval=1, test=14),
        image_size=64,
        alpha=0.35,
        scratch_epochs=1,
        acceptance=stages.NO_FLOORS,
    )
    report = build_master(data / "tranches", out / "photos")
    master = link_photos(report.master, out / "linked", images)
    write_tfrecords(master, config.tfrecords_dir, size=config.ingest_size)
    pipeline = build_pipeline(config, beam.local_args())
    nodes = [node.id for node in pipeline.components if node.id != REVIEW]
    snapshot.write(Snapshot(run_id=RUN, config=config, started=time.time(), nodes=nodes))
    failure = run_pipeline(pipeline, RUN)
    assert not failure, failure  # noqa: S101 (without a run there is nothing to measure)
    return config


def seconds(*arguments: str) -> float:
    """How long a Python process takes."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-W", "ignore", *arguments], check=True, capture_output=True)  # noqa: S603 (a command of ours)
    return time.monotonic() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = figures.parser(__doc__)
    parser.add_argument("--images", type=int, default=8000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        config = run(given.data.resolve(), Path(scratch), given.images)
        imports = seconds("-c", "import pipeline.review.build")
        drawn = seconds("-m", "pipeline.commands.script", "review", RUN, "--output-root", scratch)
        page = snapshot.page_path(config.output_root, RUN)
        from pipeline.review import collect

        review = collect.collect(Runs(config.output_root).read(RUN))
        assert review.overall and review.data and review.pictures  # noqa: S101 (for the type checker)
        table = Table("what", "figure", title="A review page")
        table.add_row(f"images of the {features.TEST} split", f"{review.overall.count:,}")
        table.add_row("images in all", f"{review.data.images:,}")
        table.add_row("thumbnails", f"{len(review.pictures.shown):,}")
        table.add_row("size", f"{page.stat().st_size / 1e6:.1f} MB")
        table.add_row("lookdeep review", f"{drawn:.0f} s")
        table.add_row("of which imports", f"{imports:.0f} s")
        Console().print(table)
        if given.record:
            figures.record(
                "review_page",
                {
                    "test_images": review.overall.count,
                    "size_mb": page.stat().st_size / 1e6,
                    "seconds": drawn,
                    "imports": imports,
                },
            )


if __name__ == "__main__":
    main()
