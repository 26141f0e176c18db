"""Many small losses: the reference stops what no single step against the model in service does."""

from pathlib import Path

import pytest

from pipeline.config import PipelineConfig
from pipeline.runs import verdict
from pipeline.runs.run import Run
from schema.features import Role
from tests.support import erring

POINT = erring.IMAGES // 100


def number(run: Run) -> int:
    """The number of a run's model in ML Metadata."""
    assert run.model
    return run.model.id


def others(run: Run) -> dict[Role, int]:
    """The numbers of the models that a run's was compared with."""
    assert run.decision
    return {role: other.model_id for role, other in run.decision.others.items()}


def refused_by(run: Run) -> list[tuple[Role, tuple[tuple[str, str], ...]]]:
    """The comparisons that refuse a run's model, and where."""
    assert run.decision
    return [(each.against, each.place) for each in run.decision.comparisons if each.passed is False]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_point_a_push_is_stopped_by_the_reference(tmp_path: Path) -> None:
    """With the margins as they are: one point against the model in service, two against it."""
    config = PipelineConfig(output_root=tmp_path)
    runs = [erring.run(config, f"r{push}", errors=push * POINT) for push in range(5)]
    first, second, third, fourth, fifth = runs
    verdicts = [run.pushed is not None for run in runs]
    assert verdicts == [True, True, True, False, False]
    assert others(first) == {}
    assert others(second) == {"in_service": number(first), "reference": number(first)}
    assert others(third) == {"in_service": number(second), "reference": number(first)}

    # Three points are lost, and one of them in this push: nothing but the sum is too much.
    assert others(fourth) == {"in_service": number(third), "reference": number(first)}
    assert refused_by(fourth) == [("reference", ())]
    assert fourth.decision
    step, drift = (each for each in fourth.decision.comparisons if not each.place)
    assert (step.against, step.lost, step.gained, step.passed) == ("in_service", POINT, 0, True)
    assert (drift.against, drift.lost, drift.gained) == ("reference", 3 * POINT, 0)
    assert verdict.verdict(fourth) == "not_blessed"
    (reason,) = verdict.reasons(fourth)
    assert reason.startswith("All test images: 3.0 points worse than the reference model (")

    # What was refused is not what the next one is compared with.
    assert others(fifth) == {"in_service": number(third), "reference": number(first)}
    assert refused_by(fifth) == [("in_service", ()), ("reference", ())]

    equal = erring.run(config, "r5", errors=2 * POINT)
    assert others(equal) == {"in_service": number(third), "reference": number(first)}
    assert refused_by(equal) == []
    assert verdict.verdict(equal) == "pushed"
    assert equal.version == equal.in_service and equal.pushed != third.pushed
