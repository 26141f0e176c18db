"""The errors by kind and the recalls, of the new model and of the other."""

import pandas as pd

from components.examples import parquet
from components.judging.decision import Decision
from pipeline.config import PipelineConfig
from pipeline.review import errors
from pipeline.review.changes import Count
from pipeline.review.errors import Errors
from pipeline.runs.run import Evaluation, Run, SliceMetrics, Snapshot
from schema import features
from tests.support.decided import LYING, compared, decision, recall


def run(found: Decision | None) -> Run:
    metrics = SliceMetrics(example_count=9, accuracy=0.5, accuracy_low=0.2, accuracy_high=0.8)
    return Run(
        snapshot=Snapshot(run_id="r1", config=PipelineConfig(), started=0.0),
        decision=found,
        read_evaluation=lambda: Evaluation({LYING: metrics}, ()),
    )


def answers(*images: tuple[str, str, str | None, str]) -> pd.DataFrame:
    """A table of images: label, answer, answer of the model in service, clip."""
    return pd.DataFrame(
        {
            features.POSTURE: actual,
            features.CLIP: clip,
            parquet.answer_of("in_service"): before,
            **{posture: float(posture == answer) for posture in features.POSTURES},
        }
        for actual, answer, before, clip in images
    )


TABLE = answers(
    ("Lying", "Sitting", "Lying", "a"),
    ("Lying", "Sitting", "Sitting", "a"),
    ("Lying", "Sitting", "Sitting", "b"),
    ("Sitting", "Sitting", "Standing", "c"),
    ("Standing", "Standing", None, "d"),
)


def kinds(found: Errors) -> dict[tuple[str, str], tuple[Count, Count | None]]:
    return {(kind.actual, kind.answer): (kind.new, kind.old) for kind in found.kinds}


def test_errors_are_counted_with_their_clips_the_most_harmful_first() -> None:
    found = errors.errors(run(decision(compared())), TABLE)
    assert list(kinds(found).items()) == [
        (("Lying", "Sitting"), (Count(3, 2), Count(2, 2))),
        (("Lying", "Standing"), (Count(0, 0), Count(0, 0))),  # said, since it matters most
        (("Sitting", "Standing"), (Count(0, 0), Count(1, 1))),
    ]


def test_a_model_alone_is_counted_alone() -> None:
    alone = TABLE.drop(columns=parquet.answer_of("in_service"))
    for found in (decision(recall(9)), None):
        counted = errors.errors(run(found), alone)
        assert counted.against is None
        assert kinds(counted)["Lying", "Sitting"] == (Count(3, 2), None)


def test_recalls_are_beside_those_of_the_other_model_lying_first() -> None:
    sitting = recall(80, posture="Sitting")
    there = decision(sitting, recall(90), compared(LYING, 30, 100, right=60, gained=20))
    first, second = errors.errors(run(there), None).recalls
    assert (first.posture, first.new, first.floor) == ("Lying", 0.9, 0.87)
    assert first.old == 0.7  # 60 right, of which it gained 20, and 30 lost
    assert (second.posture, second.old) == ("Sitting", None)


def test_a_run_of_an_earlier_time_has_the_recalls_of_its_evaluation() -> None:
    found = errors.errors(run(None), None)
    (lying,) = found.recalls
    assert (lying.posture, lying.new, lying.low, lying.floor) == ("Lying", 0.5, 0.2, None)
    assert found.kinds == []
