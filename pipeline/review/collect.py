"""Gathers everything that a review page shows, from the `Run` and its artifacts."""

from dataclasses import replace
from itertools import takewhile
from typing import Final

import pandas as pd

from components import command_line
from components.errors import InputError
from components.examples import parquet
from components.training.model_run import KERAS_MODEL
from pipeline.review import (
    changes,
    comparison,
    data_checks,
    data_summary,
    errors,
    gallery,
    learning_curves,
    model_card,
    other_answers,
    plan,
    provenance,
    reliability,
    slices,
    summary,
)
from pipeline.review.contents import Review
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
    every = list(runs)
    this = record(run)
    history = [this if each.id == run.id else record(each) for each in every]
    parts = slices.all_slices(
        run.evaluation.slices if run.evaluation else {},
        run.decision.comparisons if run.decision else (),
    )
    overall = next((part for part in parts if not part.columns), None)
    own = predictions = _predictions(run)
    if against is not None:
        predictions = _with_answers_of(own, runs.read(against))
    images = run.kept("ImageTable", "images")
    review = Review(
        run=this,
        sentence=summary.headline(this),
        gates=summary.gates(run, parts),
        errors=errors.errors(run, own),
        plan=plan.published(run, _in_service(run, every)),
        comparison=comparison.comparisons(run, history, LEAST),
        overall=overall,
        groups=slices.groups(parts),
        least=LEAST,
        worst=slices.worst(parts, LEAST, own) if overall else [],
        changes=None if predictions is None else changes.changes(predictions, against),
        calibration=None if predictions is None else _calibration(run, predictions),
        pictures=None if predictions is None else _pictures(run, predictions),
        data=data_summary.summarise(
            parquet.read(images.folder, parquet.IMAGES),
            run.outputs["TrancheExampleGen", "examples"].folder,
            run.snapshot.rejects,
            run.snapshot.contradictions,
        )
        if images
        else None,
        validation=data_checks.validation(run),
        training=_training(run),
        history=history,
        lineage=provenance.provenance(run),
        missing=_missing(run),
    )
    if run.model is None:
        return review
    return replace(review, card=model_card.model_card(review, run))


def _missing(run: Run) -> dict[str, str]:
    needed = {
        "plan": ("AcceptancePlan", "acceptance_plan"),
        "comparison": ("AcceptanceGate", "acceptance_decision"),
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
    nodes = {stage.name for stage in run.components}
    return {
        section: "Its artifact was removed since."
        if key in run.outputs
        else "Runs of its time did not have it."
        if nodes and key[0] not in nodes
        else why
        for section, key in needed.items()
        if run.kept(*key) is None
    }


def _in_service(run: Run, every: list[Run]) -> Run | None:
    """The last run before this one that dealt with the model in service by a plan."""
    other = run.decision.others.get("in_service") if run.decision else None
    earlier = takewhile(lambda each: each.id != run.id, every)
    dealt = [
        each
        for each in earlier
        if other and each.plan and each.model and each.model.id == other.model_id
    ]
    return dealt[-1] if dealt else None


def _predictions(run: Run) -> pd.DataFrame | None:
    """The answers to the test images, with those of the models that the run compared with."""
    artifact = run.kept("Predictor", "predictions")
    return None if artifact is None else parquet.read(artifact.folder, parquet.PREDICTIONS)


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
