"""Gathers everything that a review page shows, from the `Run` and its artifacts."""

from dataclasses import replace
from typing import Final

import pandas as pd

from components import command_line
from components.errors import InputError
from components.examples import parquet
from components.training.model_run import KERAS_MODEL
from pipeline.review import (
    changes,
    data_checks,
    data_summary,
    gallery,
    learning_curves,
    model_card,
    other_answers,
    provenance,
    reliability,
    slices,
    summary,
)
from pipeline.review.contents import Baseline, Review, Slice
from pipeline.review.gallery import Gallery
from pipeline.review.learning_curves import Training
from pipeline.review.reliability import Reliability
from pipeline.runs import verdict
from pipeline.runs.reader import Runs
from pipeline.runs.record import record
from pipeline.runs.run import Run
from schema import features

# Slices below this many images are hidden at first: 1 image is 5 percentage points.
LEAST: Final = 20


def collect(run: Run, against: str | None = None) -> Review:
    """Gathers the page of a run.

    Args:
      run: as far as it has come.
      against: another run, whose model is compared with instead of the one in service.

    Returns:
      Every section that the run came far enough for.

    Raises:
      InputError: the other run cannot be compared with.
    """
    runs = Runs(run.config.output_root)
    parts = _slices(run)
    in_service = _baseline(run)
    overall = next((part for part in parts if not part.columns), None)

    predictions = _predictions(run)
    if against is not None:
        predictions = _with_answers_of(predictions, runs.read(against))
    images = run.kept("ImageTable", "images")
    this = record(run)
    review = Review(
        run=this,
        sentence=summary.headline(this, overall, in_service),
        gates=summary.gates(run, parts, in_service),
        baseline=in_service,
        overall=overall,
        groups=slices.groups(parts),
        least=LEAST,
        worst=slices.worst(parts, LEAST) if overall else [],
        changes=None if predictions is None else changes.changes(predictions, against),
        calibration=None if predictions is None else _calibration(run, predictions),
        pictures=None if predictions is None else _pictures(run, predictions),
        data=data_summary.summarise(
            parquet.read(images.folder),
            run.outputs["TrancheExampleGen", "examples"].folder,
            run.snapshot.rejects,
            run.snapshot.contradictions,
        )
        if images
        else None,
        validation=data_checks.validation(run),
        training=_training(run),
        history=[this if each.id == run.id else record(each) for each in runs],
        lineage=provenance.provenance(run),
        missing=_missing(run),
    )
    if run.model is None:
        return review
    return replace(review, card=model_card.model_card(review, run.config.model_dump(mode="json")))


def _missing(run: Run) -> dict[str, str]:
    needed = {
        "slices": ("Evaluator", "evaluation"),
        "confusion": ("Evaluator", "evaluation"),
        "changes": ("Predictor", "predictions"),
        "calibration": ("Predictor", "predictions"),
        "pictures": ("Predictor", "predictions"),
        "data": ("ImageTable", "images"),
        "validation": ("ValidationGate", "verdict"),
        "training": ("Trainer", "model_run"),
        "card": ("Trainer", "model"),
    }
    why = (
        "The data was refused before any model was trained."
        if verdict.verdict(run) == "invalid_data"
        else "The run ended before it came this far."
    )
    return {
        section: why if key not in run.outputs else "Its artifact was removed since."
        for section, key in needed.items()
        if run.kept(*key) is None
    }


def _slices(run: Run) -> list[Slice]:
    return slices.all_slices(run.evaluation.slices) if run.evaluation else []


def _baseline(run: Run) -> Baseline | None:
    model = run.inputs.get(("AcceptanceGate", "in_service"))
    if model is None or run.decision is None:
        return None
    overall = next((each for each in run.decision.comparisons if not each.place), None)
    if overall is None:
        return None
    return Baseline(
        model_id=model.id,
        run_id=model.made_by,
        accuracy=overall.right / overall.images - overall.difference,
        difference=overall.difference,
        low=overall.low,
        high=overall.high,
    )


def _predictions(run: Run) -> pd.DataFrame | None:
    """The answers to the test images, with those of the models that the run compared with."""
    artifact = run.kept("Predictor", "predictions")
    return None if artifact is None else parquet.read(artifact.folder)


def _with_answers_of(predictions: pd.DataFrame | None, other: Run) -> pd.DataFrame:
    theirs = _predictions(other)
    if predictions is None or theirs is None:
        which = "This run" if predictions is None else f"Run {other.id}"
        raise InputError(
            f"{which} keeps no model's answers to test images, so there is nothing to compare;"
            f" `{command_line.lookdeep('status', '--output-root', other.config.output_root)}` lists"
            " the runs."
        )
    return other_answers.of_run(predictions, theirs, other.id)


def _training(run: Run) -> Training | None:
    model_run = run.kept("Trainer", "model_run")
    if model_run is None:
        return None
    cached = any(stage.name == "Trainer" and stage.state == "cached" for stage in run.components)
    return learning_curves.training(model_run.folder, model_run.seconds, cached)


def _calibration(run: Run, predictions: pd.DataFrame) -> Reliability:
    model_run = run.outputs["Trainer", "model_run"]
    return reliability.calibrate(predictions, learning_curves.fitted(model_run.folder))


def _pictures(run: Run, predictions: pd.DataFrame) -> Gallery:
    return gallery.gallery(
        predictions,
        run.outputs["TrancheExampleGen", "examples"].folder / f"Split-{features.TEST}",
        run.outputs["Trainer", "model_run"].folder / KERAS_MODEL,
        run.config,
    )
