"""The reference over several runs: what small losses add up against."""

from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.config import PipelineConfig
from pipeline.runs import lineage
from pipeline.runs.run import Run
from tests.support import tiny_runs


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    return tiny_runs.settings(tmp_path)


def compared(run: Run) -> tuple[int | None, int | None]:
    """The numbers of the model in service and of the reference."""
    assert run.decision
    others = (run.decision.others.get(role) for role in ("in_service", "reference"))
    in_service, reference = (other.model_id if other else None for other in others)
    return in_service, reference


def number(run: Run) -> int:
    assert run.model
    return run.model.id


def test_the_first_model_that_was_pushed_stays_the_reference(config: PipelineConfig) -> None:
    refused = tiny_runs.run(config, "r1", blesses=0, flavour="refused")
    first = tiny_runs.run(config, "r2", flavour="first")
    assert compared(refused) == compared(first) == (None, None)
    again = tiny_runs.run(config, "r3", flavour="first")
    assert compared(again) == (None, None)
    second = tiny_runs.run(config, "r4", flavour="second")
    assert compared(second) == (number(first), number(first))
    third = tiny_runs.run(config, "r5", flavour="third")
    assert compared(third) == (number(second), number(first))

    # Once it is gone, the next one takes its place.
    store = lineage.open_store(config, mlmd.SqliteMetadataSourceConfig.READWRITE)
    (gone,) = store.get_artifacts_by_id([number(first)])
    gone.state = mlmd.Artifact.DELETED
    store.put_artifacts([gone])
    fourth = tiny_runs.run(config, "r6", flavour="fourth")
    assert compared(fourth) == (number(third), number(second))


def test_a_plan_may_name_the_run_of_the_reference(config: PipelineConfig) -> None:
    refused = tiny_runs.run(config, "r1", blesses=0, flavour="refused")
    first = tiny_runs.run(config, "r2", flavour="first")
    named = config.acceptance.model_copy(update={"reference_run": "r1"})
    chosen = config.model_copy(update={"acceptance": named})
    second = tiny_runs.run(chosen, "r3", flavour="second")
    assert compared(second) == (number(first), number(refused))
