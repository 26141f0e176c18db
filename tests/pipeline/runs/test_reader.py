"""Runs as they are read, recorded and listed, after real TFX runs of a tiny pipeline."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.errors import InputError
from components.progress import EVENTS_FD
from pipeline.commands.status import status
from pipeline.config import PipelineConfig
from pipeline.process import worker
from pipeline.runs import record, snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.run import Run, Snapshot
from tests.support import tiny_runs

Told = list[tuple[str, str]]

RESOLVERS = ("ModelInService", "ReferenceModel")
ANSWERS: dict[str, dict[str, Any]] = {
    "r1": {},
    "r2": {},
    "r3": {"passes": 0},
    "r4": {"breaks": 1},
    "r5": {"serves": 0},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PipelineConfig:
    return tiny_runs.settings(tmp_path_factory.mktemp("output"))


@pytest.fixture(scope="module")
def told(config: PipelineConfig) -> dict[str, list[dict[str, Any]]]:
    """What the watching process was told of each run, all in one output folder."""
    events: dict[str, list[dict[str, Any]]] = {}
    with worker.component_events():
        for run_id, answers in ANSWERS.items():
            reader, writer = os.pipe()
            os.environ[EVENTS_FD] = str(writer)
            try:
                tiny_runs.run(config, run_id, **answers)
            finally:
                del os.environ[EVENTS_FD]
                os.close(writer)
            with os.fdopen(reader) as file:
                events[run_id] = [json.loads(line) for line in file]
    return events


@pytest.fixture(scope="module")
def runs(config: PipelineConfig, told: dict[str, list[dict[str, Any]]]) -> dict[str, Run]:
    return {run.id: run for run in Runs(config.output_root)}


def states(run: Run) -> list[str]:
    return [stage.state for stage in run.stages]


def test_a_run_holds_what_it_made(runs: dict[str, Run], config: PipelineConfig) -> None:
    run = runs["r1"]
    assert states(run) == ["ran"] * 13
    assert run.stages[0].name == worker.MASTER
    assert all(stage.seconds > 0 for stage in run.components if stage.name not in RESOLVERS)
    assert 0 < sum(stage.seconds for stage in run.stages) <= run.seconds + 1
    assert (run.counts.rows, run.counts.clips) == (10, 3)
    assert run.model and (run.model.type, run.model.made_by) == ("Model", "r1")
    assert run.model.seconds > 0
    assert (run.gate_passed, run.blessed, run.serves) == (True, True, True)
    assert run.version and run.version.folder.parent == config.serving_dir
    assert run.version.origin and run.version.origin.run_id == "r1"
    assert run.config == config
    assert {"python", "tfx", "tensorflow", "keras"} <= run.snapshot.versions.keys()
    assert run.properties["Trainer"]["flavour"] == "A"


def test_what_came_from_the_cache_was_made_by_the_earlier_run(runs: dict[str, Run]) -> None:
    again = runs["r2"]
    assert [stage.name for stage in again.components if stage.state == "ran"] == [
        "ModelInService",
        "ReferenceModel",
        "Pusher",
        "ReviewPage",
    ]
    assert again.model == runs["r1"].model


def test_the_events_follow_tfx(told: dict[str, list[dict[str, Any]]], runs: dict[str, Run]) -> None:
    """Fails if TFX words its log differently: `worker.ComponentEvents` depends on it."""
    for run_id, run in runs.items():
        ends = dict(
            (event["name"], event["state"])
            for event in told[run_id]
            if event["event"] == "stage" and event["state"] != "running"
        )
        plan = [event["stages"] for event in told[run_id] if event["event"] == "plan"]
        assert plan == [[stage.name for stage in run.components]]
        for stage in run.stages:
            if stage.name in RESOLVERS:
                continue  # TFX says of a resolver that it ran also where a gate stopped the run
            # After a component that raises, TFX's log says no more of any.
            said = ends.get(stage.name, "" if run_id == "r4" else "nothing")
            assert said in (stage.state, ""), (run_id, stage)


def test_status_lists_runs_and_models(runs: dict[str, Run], config: PipelineConfig) -> None:
    result = CliRunner().invoke(status, ["--output-root", str(config.output_root), "--json"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    assert [(run["run_id"], run["verdict"]) for run in content["runs"]] == [
        ("r1", "pushed"),
        ("r2", "pushed"),
        ("r3", "invalid_data"),
        ("r4", "failed"),
        ("r5", "not_blessed"),
    ]
    assert content["runs"][2]["components"]["ValidationGate"] == "ran"
    assert "Trainer" not in content["runs"][2]["components"]
    # r5 checked the model of r1 again, and it failed.
    (model,) = content["models"]
    assert (model["blessed"], model["serves"], model["in_service"]) == (True, False, True)
    assert runs["r1"].version and model["pushed"] == str(runs["r1"].version.folder)


def test_status_is_readable(runs: dict[str, Run], config: PipelineConfig) -> None:
    result = CliRunner().invoke(status, ["--output-root", str(config.output_root)])
    assert result.exit_code == 0, result.output
    assert "invalid_data" in result.output
    assert "Data refused: no model was trained." in result.output


def test_status_lists_runs_that_stopped_before_the_pipeline(tmp_path: Path) -> None:
    config = tiny_runs.settings(tmp_path)
    refused = Snapshot(run_id="r1", config=config, started=1.5, refused=True, failure="Kneeling.")
    snapshot.write(refused)
    result = CliRunner().invoke(status, ["--output-root", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    (run,) = json.loads(result.output)["runs"]
    assert (run["run_id"], run["verdict"], run["components"]) == ("r1", "invalid_data", {})
    assert run["started"].startswith("1970-01-01T00:00:0")


def test_a_folder_without_runs_and_one_with_another_file(tmp_path: Path) -> None:
    arguments = ["--output-root", str(tmp_path)]
    result = CliRunner().invoke(status, arguments)
    assert isinstance(result.exception, InputError)
    assert "There is no run in" in str(result.exception)
    (tmp_path / "metadata.sqlite").write_text("something else, long enough" * 100)
    result = CliRunner().invoke(status, arguments)
    assert isinstance(result.exception, InputError)
    assert "cannot be read" in str(result.exception)


def test_a_record_survives_being_written(tmp_path: Path, runs: dict[str, Run]) -> None:
    path = tmp_path / "run.json"
    assert record.read(path) is None
    for run in runs.values():
        written = record.record(run)
        record.write(written, path)
        assert record.read(path) == written
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
    path.write_text("{}")
    with pytest.raises(InputError, match="is not the record of a run"):
        record.read(path)
