"""Peak memory of each component at two numbers of images.

    python -m benchmarks.pipeline_memory [--data ../shared/data] [--counts 600 6000]

Each figure comes from a process of its own that runs one component, those before it
being cached; the first row is a process that has only imported TFX and built the
pipeline. The photos are stored under as many names and clips as are asked for.
Training is one epoch a phase. Expect the same peak for both counts. On 2 cores the
larger count takes about a quarter of an hour.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.ingestion_memory import link_photos, peak_memory
from components.tranches.master import build_master
from components.tranches.tfrecords import write_tfrecords
from pipeline import beam
from pipeline.config import PipelineConfig, load

IMPORTS: Final = "imports alone"
STAGES: Final = (
    IMPORTS,
    "TrancheExampleGen",
    "ImageTable",
    "StatisticsGen",
    "Transform",
    "Trainer",
    "ServingCheck",
    "Evaluator",
    "Predictor",
)


def settings(data: Path, out: Path) -> PipelineConfig:
    """The defaults, with one epoch a phase."""
    (weights,) = (data / "weights").glob("*.h5")
    return load(
        None,
        data_root=data / "tranches",
        output_root=out,
        base_weights=str(weights),
        head_epochs=1,
        fine_tune_epochs=1,
    )


def run_stage(stage: str, config: PipelineConfig) -> None:
    """Runs the pipeline up to a component and prints the peak memory of this process in MiB."""
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import RunOptions

    from pipeline.pipeline import create_pipeline

    pipeline = create_pipeline(config, beam.local_args())
    if stage != IMPORTS:
        LocalDagRunner().run(pipeline, run_options=RunOptions(to_nodes=[stage]))
    print(peak_memory() // 2**20)


def peaks(data: Path, count: int) -> list[int]:
    """Peak memory of each stage, MiB, for a number of images."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        config = settings(data, out)
        report = build_master(config.data_root or data, out / "photos")
        master = link_photos(report.master, out / "linked", count)
        write_tfrecords(master, config.tfrecords_dir, size=config.ingest_size)
        results = []
        for stage in STAGES:
            command = [sys.executable, "-m", "benchmarks.pipeline_memory", "--data", str(data)]
            done = subprocess.run(
                [*command, "--measure", stage, "--output", str(out)],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            results.append(int(done.stdout.split()[-1]))
        return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, or prints the table of what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--counts", type=int, nargs=2, default=[600, 6000])
    parser.add_argument("--measure", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        run_stage(given.measure, settings(given.data, given.output))
        return
    table = Table("peak memory, MiB", *(f"{count:,} images" for count in given.counts), "ratio")
    columns = [peaks(given.data.resolve(), count) for count in given.counts]
    for stage, small, large in zip(STAGES, *columns, strict=True):
        table.add_row(stage, f"{small:,}", f"{large:,}", f"{large / small:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
