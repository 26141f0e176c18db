"""The cost of each stage of a run, each in a process of its own.

A stage's process imports what the worker imports and runs the pipeline up to its component; earlier
components are cached. Training is one epoch per phase on two views of each picture, and the gates
are open, so that all stages run on any pictures.
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
from components.ingest.master import build_master
from components.judging.acceptance import Acceptance
from pipeline.config import PipelineConfig, load
from pipeline.runs.record import Record
from schema import features

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
    "AcceptancePlan",
    "Transform",
    "Trainer",
    "Evaluator",
    "ServingCheck",
    "Predictor",
    "AcceptanceGate",
    "ReviewPage",
)
RUN: Final = "benchmark"

NO_FLOORS: Final = Acceptance(
    accuracy_floor=0.0,
    tranche_accuracy_floor=0.0,
    coverage_floor=0.0,
    recall_floors=dict.fromkeys(features.POSTURES, 0.0),
)


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
        data_root = linked_tranches(data, folder, count)
        result = {}
        for stage in STAGES:
            print(f"{count:,} images: {stage}", file=sys.stderr)
            result[stage] = costs.in_process(
                "benchmarks.stages", stage, data_root, folder / "out", weights(data)
            )
        return result


def linked_tranches(data: Path, folder: Path, count: int) -> Path:
    """Makes a data root with a number of the photos.

    Args:
      data: folder with `tranches/`.
      folder: the data root becomes a folder in it.
      count: images in all.
    """
    photos = build_master(data / "tranches", folder / "photos").master
    return link_photos(photos, folder / "linked", count).parent


def weights(data: Path) -> Path:
    """The file of base weights that all figures are measured with."""
    return data / "weights" / "mobilenet_v2_1.0_224_no_top.dequantised.h5"


def open_gates(data_root: Path, output_root: Path, base_weights: Path) -> PipelineConfig:
    """Settings with which every stage runs on any pictures, and training is short."""
    return load(
        None,
        data_root=data_root,
        output_root=output_root,
        base_weights=str(base_weights),
        views=2,
        head_epochs=1,
        fine_tune_epochs=1,
        max_label_drift=1.0,
        acceptance=NO_FLOORS,
    )


def assert_all_ran(result: Record) -> None:
    """Checks that no gate stopped a run: a figure of what did not run is none."""
    # On a busy machine ServingCheck may run out of time; every step has run all the same.
    assert result.verdict in ("pushed", "not_blessed"), result.reasons  # noqa: S101 (see above)


def run(stage: str, config: PipelineConfig) -> None:
    """Runs one stage in this process.

    Args:
      stage: one of `STAGES`; all before it have run.
      config: the settings.
    """
    from pipeline import beam
    from pipeline.process import worker

    if stage == INGESTION:
        worker.ingest(config, worker.Progress(), beam.local_args())
        return
    pipeline = worker.build_pipeline(config, beam.local_args())
    if stage == IMPORTS:
        return
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import RunOptions

    from pipeline.runs import snapshot
    from pipeline.runs.run import REVIEW, Snapshot

    if stage == REVIEW:
        nodes = [node.id for node in pipeline.components if node.id != stage]
        snapshot.write(Snapshot(run_id=RUN, config=config, started=time.time(), nodes=nodes))
        failure = worker.run_pipeline(pipeline, RUN)
        assert not failure, failure  # noqa: S101 (a skipped stage has no cost)
        assert snapshot.page_path(config.output_root, RUN).exists()  # noqa: S101 (a skipped stage has no cost)
        return
    LocalDagRunner().run(pipeline, run_options=RunOptions(to_nodes=[stage]))
    # A stage skipped by a gate must not be taken for a cheap one.
    assert any((config.pipeline_root / stage).glob("*/*")), f"{stage} has not run"  # noqa: S101 (a skipped stage has no cost)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one stage and prints its cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("output_root", type=Path)
    parser.add_argument("weights", type=Path)
    given = parser.parse_args(arguments)
    config = open_gates(given.data_root, given.output_root, given.weights)
    costs.report(costs.of(lambda: run(given.stage, config)))


if __name__ == "__main__":
    main()
