"""The cost of each stage of a run, each in a process of its own.

A stage's process imports what the worker imports and runs the pipeline up to its
component, those before it being cached. Training is one epoch a phase on two views of
each picture, and the gates are open, so that all stages run whatever the pictures.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import costs
from benchmarks.costs import Cost
from benchmarks.photos import link_photos
from components.tranches.master import build_master
from pipeline.config import PipelineConfig, load

IMPORTS: Final = "imports alone"
INGESTION: Final = "ingestion"
# In the order in which they run.
STAGES: Final = (
    IMPORTS,
    INGESTION,
    "TrancheExampleGen",
    "StatisticsGen",
    "ImageTable",
    "ValidationGate",
    "Transform",
    "Trainer",
    "Evaluator",
    "ServingCheck",
    "Predictor",
    "ReviewPage",
)
RUN: Final = "benchmark"


def measure(data: Path, count: int) -> dict[str, Cost]:
    """Measures every stage on a number of images.

    Args:
      data: folder with `tranches/` and `weights/`.
      count: images in all.

    Returns:
      Costs of whole processes, imports included, by stage.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = build_master(data / "tranches", folder / "photos").master
        link_photos(photos, folder / "linked", count)
        result = {}
        for stage in STAGES:
            print(f"{count:,} images: {stage}", file=sys.stderr)
            result[stage] = costs.in_process("benchmarks.stages", stage, folder, weights(data))
        return result


def weights(data: Path) -> Path:
    """The file of base weights."""
    (file,) = (data / "weights").glob("*.h5")
    return file


def run(stage: str, config: PipelineConfig) -> None:
    """Runs one stage in this process.

    Args:
      stage: one of `STAGES`; all before it have run.
      config: the settings.
    """
    from pipeline import beam, worker

    if stage == INGESTION:
        worker.ingest(config, worker.Progress())
        return
    pipeline = worker.build_pipeline(config, beam.local_args())
    if stage == IMPORTS:
        return
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import RunOptions

    from pipeline import outcome
    from pipeline.review import snapshot

    if stage == outcome.REVIEW:
        nodes = [node.id for node in pipeline.components if node.id != stage]
        snapshot.write(
            snapshot.Snapshot(run_id=RUN, config=config, started=time.time(), nodes=nodes)
        )
        failure = worker.run_pipeline(pipeline, RUN)
        assert not failure, failure  # noqa: S101 (a figure of what did not run is none)
        assert snapshot.page_path(config.output_root, RUN).exists()  # noqa: S101 (a figure of what did not run is none)
        return
    LocalDagRunner().run(pipeline, run_options=RunOptions(to_nodes=[stage]))
    # A stage that a gate has skipped costs nothing, and must not be taken for a cheap one.
    assert any((config.pipeline_root / stage).glob("*/*")), f"{stage} has not run"  # noqa: S101 (a figure of what did not run is none)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one stage and tells its cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("folder", type=Path, help="holds the data root `linked`")
    parser.add_argument("weights")
    given = parser.parse_args(arguments)
    config = load(
        None,
        data_root=given.folder / "linked",
        output_root=given.folder / "out",
        base_weights=given.weights,
        views=2,
        head_epochs=1,
        fine_tune_epochs=1,
        max_label_drift=1.0,
        accuracy_floor=0.0,
        tranche_accuracy_floor=0.0,
        coverage_floor=0.0,
    )
    costs.told(costs.of(lambda: run(given.stage, config)))


if __name__ == "__main__":
    main()
