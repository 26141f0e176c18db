"""Verdicts, states and events of real TFX runs of a tiny pipeline."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.errors import InputError
from components.progress import EVENTS_FD
from pipeline import config
from pipeline.commands import status
from pipeline.config import PipelineConfig
from pipeline.runs import outcome, record, snapshot
from pipeline.runs.record import Counts, Outcome, Stage

INGESTION = [Stage(name="Master table", state="ran", seconds=1.5)]


@dataclass
class Run:
    """What a run came to, and what the watching process was told."""

    outcome: Outcome
    events: list[dict[str, Any]]


def run(settings: PipelineConfig, run_id: str, **answers: int) -> Run:
    """Runs the tiny pipeline as the worker runs the large one."""
    from pipeline.process import worker
    from tests.support import tiny_pipeline

    reader, writer = os.pipe()
    os.environ[EVENTS_FD] = str(writer)
    try:
        failure = worker.run_pipeline(tiny_pipeline.create(settings.output_root, **answers), run_id)
    finally:
        del os.environ[EVENTS_FD]
        os.close(writer)
    with os.fdopen(reader) as file:
        events = [json.loads(line) for line in file]
    counts = Counts(rows=10, images=9, rejected=1, clips=3)
    judged = outcome.judge(settings, run_id, tiny_pipeline.NODES, INGESTION, counts, failure)
    return Run(judged, events)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> PipelineConfig:
    folder = tmp_path_factory.mktemp("output")
    return config.load(None, data_root="/data", output_root=folder, base_weights="none")


@pytest.fixture(scope="module")
def runs(settings: PipelineConfig) -> dict[str, Run]:
    """One run for each way to end, in one output folder, in this order."""
    from pipeline.process import worker

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))  # the executors are found by name
        with worker.component_events():
            return {
                "pushed": run(settings, "r1"),
                "cached": run(settings, "r2"),
                "refused": run(settings, "r3", passes=0),
                "broken": run(settings, "r4", breaks=1),
                "does not serve": run(settings, "r5", serves=0),
            }


def states(judged: Outcome) -> list[str]:
    return [stage.state for stage in judged.components]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["name"], event["state"]) for event in events if event["event"] == "stage"]


def test_pushed(runs: dict[str, Run], settings: PipelineConfig) -> None:
    judged = runs["pushed"].outcome
    assert (judged.verdict, judged.exit_status, judged.reasons) == ("pushed", 0, [])
    assert states(judged) == ["ran"] * 6
    assert judged.components[0] == INGESTION[0]
    assert all(stage.seconds > 0 for stage in judged.components)
    assert Path(judged.paths["pushed"]).parent == settings.serving_dir
    assert (judged.counts.rows, judged.counts.clips) == (10, 3)
    assert [finding.severity for finding in judged.findings] == ["warning"]


def test_a_rerun_is_cached_and_still_pushed(runs: dict[str, Run]) -> None:
    judged = runs["cached"].outcome
    assert judged.verdict == "pushed"
    assert states(judged) == ["ran"] + ["cached"] * 5
    assert judged.paths["pushed"] == runs["pushed"].outcome.paths["pushed"]


def test_the_gate_refuses_and_nothing_is_trained(runs: dict[str, Run]) -> None:
    judged = runs["refused"].outcome
    assert (judged.verdict, judged.exit_status) == ("invalid_data", 4)
    assert judged.reasons == ["Column x has the value Kneeling."]
    assert states(judged) == ["ran", "ran", "skipped", "skipped", "skipped", "skipped"]


def test_a_component_that_raises_is_named_with_its_first_line(runs: dict[str, Run]) -> None:
    judged = runs["broken"].outcome
    assert (judged.verdict, judged.exit_status) == ("failed", 1)
    assert judged.reasons == ["Trainer failed: RuntimeError: the tiny trainer broke"]
    assert states(judged) == ["ran", "cached", "failed", "skipped", "skipped", "skipped"]


@pytest.mark.parametrize(
    ("overall", "warns"),
    [
        ({}, False),
        ({"selective_accuracy": None}, False),
        ({"selective_accuracy": 0.95}, False),
        ({"selective_accuracy": 0.925}, True),
    ],
)
def test_a_model_that_is_sure_too_often_is_warned_of(overall: dict[str, Any], warns: bool) -> None:
    findings = outcome.promise_missed(0.95, overall)
    assert [finding.severity for finding in findings] == ["warning"] * warns
    assert all("92.5 %" in each.sentence and "95.0 %" in each.sentence for each in findings)


def test_a_model_that_does_not_serve_is_not_pushed(runs: dict[str, Run]) -> None:
    judged = runs["does not serve"].outcome
    assert (judged.verdict, judged.exit_status) == ("not_blessed", 3)
    assert judged.reasons == ["A PNG was not answered."]
    assert "pushed" not in judged.paths


def test_the_events_follow_tfx(runs: dict[str, Run]) -> None:
    """Fails if TFX words its log differently: `worker.ComponentEvents` depends on it."""
    from tests.support import tiny_pipeline

    def endings(state: str, nodes: list[str]) -> list[tuple[str, str]]:
        return [(node, each) for node in nodes for each in ("running", state)]

    nodes = tiny_pipeline.NODES
    assert told(runs["pushed"].events) == endings("ran", nodes)
    assert told(runs["cached"].events) == endings("cached", nodes)
    assert told(runs["refused"].events) == endings("ran", nodes[:1]) + endings("skipped", nodes[1:])
    # A component that raises never finishes; the verdict comes from ML Metadata.
    assert told(runs["broken"].events) == [*endings("cached", nodes[:1]), ("Trainer", "running")]
    plan = [event for event in runs["pushed"].events if event["event"] == "plan"]
    assert [event["stages"] for event in plan] == [nodes]


def test_a_run_that_never_reached_the_pipeline_failed(
    runs: dict[str, Run], settings: PipelineConfig
) -> None:
    judged = outcome.judge(settings, "r99", [], INGESTION, Counts(), "A reason.")
    assert (judged.verdict, judged.reasons) == ("failed", ["A reason."])


def test_status_lists_runs_and_models(runs: dict[str, Run], settings: PipelineConfig) -> None:
    result = CliRunner().invoke(
        status.status, ["--output-root", str(settings.output_root), "--json"]
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    assert [(run["run_id"], run["verdict"]) for run in content["runs"]] == [
        ("r1", "pushed"),
        ("r2", "pushed"),
        ("r3", "invalid_data"),
        ("r4", "failed"),
        ("r5", "not_blessed"),
    ]
    assert content["runs"][2]["components"] == {"ValidationGate": "ran"}
    assert content["runs"][0]["model"] == content["runs"][1]["model"]
    # r5 checked the model of r1 again, and it failed.
    (model,) = content["models"]
    assert (model["blessed"], model["serves"]) == (True, False)
    assert model["pushed"] == runs["pushed"].outcome.paths["pushed"]


def test_status_is_readable(runs: dict[str, Run], settings: PipelineConfig) -> None:
    result = CliRunner().invoke(status.status, ["--output-root", str(settings.output_root)])
    assert result.exit_code == 0, result.output
    assert "invalid_data" in result.output
    assert "5 cached" in result.output


def test_status_lists_runs_that_stopped_before_the_pipeline(tmp_path: Path) -> None:
    settings = config.load(None, data_root="/data", output_root=tmp_path, base_weights="none")
    refused = snapshot.Snapshot(
        run_id="r1", config=settings, started=1.5, verdict="invalid_data", failure="Kneeling."
    )
    snapshot.write(refused)
    result = CliRunner().invoke(status.status, ["--output-root", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    (run,) = json.loads(result.output)["runs"]
    assert (run["run_id"], run["verdict"], run["components"]) == ("r1", "invalid_data", {})
    assert run["started"].startswith("1970-01-01T00:00:0")


def test_status_without_a_database_or_with_another_file(tmp_path: Path) -> None:
    arguments = ["--output-root", str(tmp_path)]
    result = CliRunner().invoke(status.status, arguments)
    assert isinstance(result.exception, InputError)
    assert "There is no run in" in str(result.exception)
    (tmp_path / "metadata.sqlite").write_text("something else, long enough" * 100)
    result = CliRunner().invoke(status.status, arguments)
    assert isinstance(result.exception, InputError)
    assert "cannot be read" in str(result.exception)


def test_a_record_survives_being_written(tmp_path: Path, runs: dict[str, Run]) -> None:
    path = tmp_path / "run.json"
    assert record.read(path) is None
    for each in runs.values():
        record.write(each.outcome, path)
        assert record.read(path) == each.outcome
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
    path.write_text("{}")
    with pytest.raises(InputError, match="is not the record of a run"):
        record.read(path)


# Last: it takes the pushed model away.
def test_a_pushed_model_that_is_gone_is_no_success(
    runs: dict[str, Run], settings: PipelineConfig
) -> None:
    from tests.support import tiny_pipeline

    shutil.rmtree(settings.serving_dir)
    judged = outcome.judge(settings, "r2", tiny_pipeline.NODES, [], Counts())
    assert judged.verdict == "failed"
    assert "the folder is gone" in judged.reasons[0]
