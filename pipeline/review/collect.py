"""Gathers everything that a review page shows, from ML Metadata and the run's artifacts."""

from dataclasses import dataclass, replace
from typing import Final

import pandas as pd
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.errors import InputError
from components.examples import parquet
from pipeline.review import (
    data_checks,
    data_summary,
    gallery,
    learning_curves,
    model_card,
    past_runs,
    provenance,
    reliability,
    slices,
    summary,
)
from pipeline.review.contents import Baseline, Review, Slice
from pipeline.review.gallery import Gallery
from pipeline.review.learning_curves import Training
from pipeline.review.reliability import Reliability
from pipeline.runs import evaluation_result, outcome, record
from pipeline.runs.lineage import Artifact, Lineage, Outputs, has_database
from pipeline.runs.record import Outcome
from pipeline.runs.snapshot import Snapshot
from schema import features

# Slices below this many images are hidden at first: 1 image is 5 percentage points.
LEAST: Final = 20


@dataclass(frozen=True)
class _Run:
    """What is known of a run in the database; nothing if it ended before the pipeline."""

    lineage: Lineage | None
    run: mlmd.Context | None
    outputs: Outputs
    inputs: Outputs

    def output(self, node: str, key: str) -> Artifact | None:
        return self.outputs.get((node, key))


def collect(snapshot: Snapshot, against: str | None = None) -> Review:
    """Gathers the page of a run.

    Args:
      snapshot: the run as its worker saw it.
      against: another run, to compare with instead of the baseline.

    Returns:
      Every section that the run came far enough for.

    Raises:
      InputError: the other run cannot be compared with.
    """
    config = snapshot.config
    lineage = Lineage(config) if has_database(config) else None
    found = _find(lineage, snapshot.run_id)
    result = _outcome(snapshot, found)
    missing = _missing(found)

    parts = _slices(found)
    in_service = compared = _baseline(found, parts)
    if against is not None:
        other = _find(lineage, against)
        theirs = _slices(other)
        if not theirs:
            raise InputError(
                f"Run {against} has judged no model, so there is nothing to compare with;"
                " `lookdeep status` lists the runs."
            )
        parts = slices.against(parts, theirs)
        compared = _compared(parts, other.outputs["Trainer", "model"].id, against)
    overall = next((part for part in parts if not part.columns), None)

    predicted = found.output("Predictor", "predictions")
    predictions = parquet.read(predicted.folder) if predicted else None
    images = found.output("ImageTable", "images")
    data = (
        data_summary.summarise(
            parquet.read(images.folder),
            found.outputs["TrancheExampleGen", "examples"].folder,
            snapshot.rejects,
            snapshot.contradictions,
        )
        if images
        else None
    )
    review = Review(
        run=summary.run_facts(snapshot, result, overall, in_service),
        gates=summary.gates(config, result, found.outputs, parts, in_service),
        baseline=compared,
        overall=overall,
        groups=slices.groups(parts),
        least=LEAST,
        worst=slices.worst(parts, LEAST) if overall else [],
        calibration=None if predictions is None else _calibration(found, predictions),
        pictures=None if predictions is None else _pictures(snapshot, found, predictions),
        data=data,
        validation=data_checks.validation(found.outputs, result.findings),
        training=_training(found, result),
        history=past_runs.history(config.output_root, lineage, snapshot.run_id),
        lineage=provenance.provenance(snapshot, lineage, found.run, found.outputs),
        missing=missing,
    )
    if found.output("Trainer", "model") is None:
        return review
    return replace(review, card=model_card.model_card(review, config.model_dump(mode="json")))


def _find(lineage: Lineage | None, run_id: str) -> _Run:
    run = lineage.run(run_id) if lineage else None
    if lineage is None or run is None:
        return _Run(lineage, None, {}, {})
    return _Run(lineage, run, lineage.outputs(run), lineage.inputs(run))


def _outcome(snapshot: Snapshot, found: _Run) -> Outcome:
    config = snapshot.config
    if found.run is None:
        result = record.failed(
            config,
            snapshot.run_id,
            snapshot.stages,
            snapshot.counts,
            snapshot.failure,
            snapshot.verdict or "failed",
        )
    else:
        result = outcome.judge(
            config,
            snapshot.run_id,
            snapshot.nodes,
            snapshot.stages,
            snapshot.counts,
            snapshot.failure,
        )
    return result.model_copy(update={"seconds": sum(stage.seconds for stage in result.components)})


def _missing(found: _Run) -> dict[str, str]:
    refused = outcome.gate_refused(found.outputs)
    needed = {
        "slices": ("Evaluator", "evaluation"),
        "confusion": ("Evaluator", "evaluation"),
        "calibration": ("Predictor", "predictions"),
        "pictures": ("Predictor", "predictions"),
        "data": ("ImageTable", "images"),
        "validation": ("ValidationGate", "verdict"),
        "training": ("Trainer", "model_run"),
        "card": ("Trainer", "model"),
    }
    why = (
        "The data was refused before any model was trained."
        if refused
        else "The run ended before it came this far."
    )
    return {section: why for section, key in needed.items() if key not in found.outputs}


def _slices(found: _Run) -> list[Slice]:
    evaluation = found.output("Evaluator", "evaluation")
    return slices.all_slices(evaluation_result.read_slices(evaluation.uri)) if evaluation else []


def _baseline(found: _Run, parts: list[Slice]) -> Baseline | None:
    model = found.inputs.get(("Evaluator", "baseline_model"))
    if model is None or found.lineage is None:
        return None
    made_by, _ = found.lineage.producer(model)
    return _compared(parts, model.id, made_by)


def _compared(parts: list[Slice], model_id: int, run_id: str) -> Baseline | None:
    """The model that the slices' differences are to, if they have any."""
    overall = next((part for part in parts if not part.columns), None)
    if overall is None or overall.difference is None:
        return None
    return Baseline(
        model_id=model_id,
        run_id=run_id,
        accuracy=overall.accuracy - overall.difference,
        difference=overall.difference,
        low=overall.difference_low,
        high=overall.difference_high,
    )


def _training(found: _Run, result: Outcome) -> Training | None:
    model_run = found.output("Trainer", "model_run")
    if model_run is None or found.lineage is None:
        return None
    _, seconds = found.lineage.producer(model_run)
    cached = any(stage.name == "Trainer" and stage.state == "cached" for stage in result.components)
    return learning_curves.training(model_run.folder, seconds, cached)


def _calibration(found: _Run, predictions: pd.DataFrame) -> Reliability:
    model_run = found.outputs["Trainer", "model_run"]
    return reliability.calibrate(predictions, learning_curves.fitted(model_run.folder))


def _pictures(snapshot: Snapshot, found: _Run, predictions: pd.DataFrame) -> Gallery:
    examples = found.outputs["TrancheExampleGen", "examples"]
    return gallery.gallery(
        predictions,
        examples.folder / f"Split-{features.TEST}",
        found.outputs["Trainer", "model_run"].folder / "model.keras",
        snapshot.config,
    )
