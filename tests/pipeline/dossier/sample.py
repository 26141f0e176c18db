"""Runs for the tests of the dossier, and their pages."""

from dataclasses import replace
from pathlib import Path

from pipeline.review import model_card
from pipeline.review.contents import Review
from pipeline.runs.left_out import Contradiction, Reject
from pipeline.runs.run import Artifact, Run
from tests.pipeline.review import sample


def whole_run() -> Run:
    """A run that was compared with the model in service and the reference."""
    run = sample.judged(sample.test_images(), sample.OTHERS)
    config = run.config.model_copy(
        update={"output_root": Path("/output"), "base_weights": "/somewhere/weights.h5"}
    )
    snapshot = run.snapshot.model_copy(
        update={
            "config": config,
            "tranche_digests": {"1": "9f" * 32, "2": "8e" * 32},
            "rejects": [Reject("1", "The file is not in the archive.", 12, "frame_2001.png")],
            "contradictions": [Contradiction("How many is None, yet a posture.", 31, ["f.png"])],
        }
    )
    models = {
        ("AcceptanceGate", role): Artifact(number, "Model", "", {}, 0, f"run-of-{number}", 1.0)
        for role, number in sample.OTHERS.items()
    }
    return replace(run, snapshot=snapshot, inputs=models)


def early_run() -> Run:
    """A run that ended before its plan was published, or an old one."""
    return replace(whole_run(), plan=None, decision=None)


def review() -> Review:
    """The page of the whole run, with the model card that the pipeline writes."""
    page = sample.review()
    return replace(page, card=model_card.model_card(page, whole_run()))


def early_review() -> Review:
    """The page of the early run."""
    page = sample.before_plans()
    return replace(page, card=model_card.model_card(page, early_run()))
