"""What people decide about models: each way to a decision, who is told of it, and what follows."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.errors import InputError
from components.judging.acceptance import Acceptance
from components.serving.versions import Version, versions
from pipeline.commands import status
from pipeline.commands.cli import lookdeep
from pipeline.config import PipelineConfig
from pipeline.process import launcher
from pipeline.runs import lineage, record
from pipeline.runs.reader import Runs
from pipeline.runs.run import Artifact, Run
from pipeline.runs.verdict import verdict
from schema import features
from tests.support import tiny_runs


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    """Pushes what passes."""
    return tiny_runs.settings(tmp_path)


@pytest.fixture
def asking(config: PipelineConfig) -> PipelineConfig:
    """Asks a person about every model."""
    return config.model_copy(update={"acceptance": Acceptance(sign_off="always")})


def call(config: PipelineConfig, *arguments: object) -> Result:
    return CliRunner().invoke(
        lookdeep, [*map(str, arguments), "--output-root", str(config.output_root)]
    )


def decide(config: PipelineConfig, *arguments: object, reason: str = "it finds falls") -> str:
    """Calls a command that has to work; returns what it says."""
    result = call(config, *arguments, "--by", "Ada Byron", "--reason", reason)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(config: PipelineConfig, *arguments: object, reason: str = "it finds falls") -> str:
    """Calls a command that has to be refused; returns why."""
    before = versions(config.serving_dir)
    result = call(config, *arguments, "--by", "Ada Byron", "--reason", reason)
    assert isinstance(result.exception, InputError), result.output
    assert versions(config.serving_dir) == before
    return str(result.exception)


def read(config: PipelineConfig, run_id: str) -> Run:
    return Runs(config.output_root).read(run_id)


def in_service(config: PipelineConfig) -> Version:
    last = versions(config.serving_dir)[-1]
    assert not last.damage
    return last


def recorded(config: PipelineConfig) -> list[tuple[mlmd.Execution, dict[str, mlmd.Artifact]]]:
    """The decisions in ML Metadata, each with what it is linked to by key."""
    store = lineage.open_store(config)
    found = []
    for execution in store.get_executions_by_type("SignOff"):
        assert execution.last_known_state == mlmd.Execution.COMPLETE
        linked = {}
        for event in store.get_events_by_execution_ids([execution.id]):
            (linked[event.path.steps[0].key],) = store.get_artifacts_by_id([event.artifact_id])
        found.append((execution, linked))
    return found


def test_a_model_awaits_a_decision_and_is_approved(asking: PipelineConfig) -> None:
    run = tiny_runs.run(asking, "r1")
    assert verdict(run) == "awaiting_sign_off"
    written = record.read(asking.record_path)
    assert written and written.exit_status == 5
    assert written.reasons == ["The plan asks a person to decide about every model."]
    assert versions(asking.serving_dir) == ()

    said = decide(asking, "approve", "r1")
    version = in_service(asking)
    assert (
        f"Ada Byron approved the model, which went into service as version {version.number} ("
        in (said)
    )
    run = read(asking, "r1")
    assert (verdict(run), run.version) == ("pushed", version)
    written = record.read(asking.record_path)
    assert written and (written.verdict, written.reasons) == ("pushed", [])
    assert written.paths["pushed"] == str(version.folder)
    (signed,) = written.sign_offs
    assert (signed.by, signed.reason, signed.version) == (
        "Ada Byron",
        "it finds falls",
        version.number,
    )
    assert version.sign_off == signed
    assert run.plan and signed.plan == run.plan.sha256

    ((execution, linked),) = recorded(asking)
    assert execution.custom_properties["by"].string_value == "Ada Byron"
    assert {key: artifact.type for key, artifact in linked.items()} == {
        "model": "Model",
        "acceptance_plan": "AcceptancePlan",
        "acceptance_decision": "AcceptanceDecision",
        "pushed_model": "PushedModel",
    }
    assert run.model and linked["model"].id == run.model.id
    pushed = linked["pushed_model"].custom_properties
    assert pushed["pushed_version"].string_value == str(version.number)

    assert decide(asking, "approve", "r1", reason="again") == said, "the first one counts"
    assert versions(asking.serving_dir) == (version,)
    assert len(recorded(asking)) == 1
    assert "does not await a decision" in refused(asking, "reject", "r1")


def test_what_follows_an_approval(asking: PipelineConfig) -> None:
    tiny_runs.run(asking, "r1")
    decide(asking, "approve", "r1")
    again = tiny_runs.run(asking, "r2")
    assert verdict(again) == "pushed", "nobody has to decide about the model in service"
    other = tiny_runs.run(asking, "r3", flavour="B")
    first = read(asking, "r1").model
    assert first and other.inputs["AcceptanceGate", "in_service"].id == first.id
    assert verdict(other) == "awaiting_sign_off"
    decide(asking, "approve", "r3")
    assert verdict(read(asking, "r1")) == "superseded"
    assert verdict(read(asking, "r3")) == "pushed"


def test_a_model_is_rejected(asking: PipelineConfig) -> None:
    tiny_runs.run(asking, "r1")
    said = decide(asking, "reject", "r1", reason="too few falls")
    run = read(asking, "r1")
    assert verdict(run) == "rejected"
    written = record.read(asking.record_path)
    assert written and (written.verdict, written.exit_status) == ("rejected", 3)
    (reason,) = written.reasons
    assert reason in said and reason.startswith("Ada Byron rejected the model (")
    assert reason.endswith("): too few falls")
    assert versions(asking.serving_dir) == ()
    ((execution, linked),) = recorded(asking)
    assert execution.custom_properties["kind"].string_value == "rejected"
    assert linked.keys() == {"model", "acceptance_plan", "acceptance_decision"}
    assert reason in refused(asking, "approve", "r1")
    assert decide(asking, "reject", "r1") == said
    assert len(recorded(asking)) == 1


@pytest.mark.parametrize("answers", [{"blesses": 0}, {"serves": 0}, {"accepts": 0}, {"passes": 0}])
def test_nobody_approves_what_a_gate_refused(
    asking: PipelineConfig, answers: dict[str, int]
) -> None:
    tiny_runs.run(asking, "r1", **answers)
    for command in ("approve", "reject"):
        assert "Run r1 does not await a decision." in refused(asking, command, "r1")
    assert "There is no run r7" in refused(asking, "approve", "r7")


def test_another_model_is_in_service_than_the_one_compared_with(asking: PipelineConfig) -> None:
    for run_id, flavour in (("r1", "A"), ("r2", "B"), ("r3", "A")):
        tiny_runs.run(asking, run_id, flavour=flavour)
    decide(asking, "approve", "r1")
    other = in_service(asking).id
    assert refused(asking, "approve", "r2") == (
        f"Run r2 was compared with no other model, and now version {other} is in service; run"
        " again."
    )
    assert "is in service already, as version r1/" in refused(asking, "approve", "r3")
    decide(asking, "reject", "r2")


@pytest.mark.parametrize(
    ("output", "file", "former", "words"),
    [
        (
            ("AcceptancePlan", "acceptance_plan"),
            "plan.json",
            '"accuracy_floor": 0.87',
            "is not the one that ML Metadata has",
        ),
        (
            ("AcceptanceGate", "acceptance_decision"),
            "decision.json",
            '"right": 2',
            "is not the one that ML Metadata has",
        ),
        (
            ("Trainer", "model"),
            "Format-Serving/saved_model.pb",
            "model",
            "was changed after it was written",
        ),
    ],
)
def test_what_was_changed_since_is_not_approved(
    asking: PipelineConfig, output: tuple[str, str], file: str, former: str, words: str
) -> None:
    run = tiny_runs.run(asking, "r1")
    path = run.outputs[output].folder / file
    whole = path.read_text()
    assert former in whole
    path.write_text(whole.replace(former, former[:-1] + "1"))
    assert words in refused(asking, "approve", "r1")
    path.write_text(whole)
    store = lineage.open_store(asking, mlmd.SqliteMetadataSourceConfig.READWRITE)
    lineage.mark_deleted(store, store.get_artifacts_by_id([run.outputs[output].id]))
    assert "was found damaged before" in refused(asking, "approve", "r1")


def test_the_way_back(config: PipelineConfig) -> None:
    tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", flavour="B")
    first, second = versions(config.serving_dir)
    said = decide(config, "rollback", reason="it misses falls")
    third = in_service(config)
    assert third.number > second.number
    assert third.origin and first.origin and third.origin.key == first.origin.key
    assert f"rolled back version {second.number}" in said and f"version {third.number} (" in said
    assert verdict(read(config, "r1")) == "pushed"
    withdrawn = read(config, "r2")
    assert verdict(withdrawn) == "superseded"
    written = record.read(config.record_path)
    assert written and (written.run_id, written.verdict) == ("r2", "superseded")
    assert written.reasons[-1] == said.strip()
    ((execution, linked),) = recorded(config)
    assert execution.custom_properties["withdrawn_version"].int_value == second.number
    assert linked["withdrawn_model"].id == withdrawn.model.id  # type: ignore[union-attr]
    assert {"model", "pushed_model"} < linked.keys()

    assert decide(config, "rollback", reason="it misses falls") == said, "not further back"
    assert in_service(config) == third
    assert "no whole version of another model" in refused(config, "rollback", reason="no idea")


def test_a_withdrawn_model_comes_back_only_by_a_person(config: PipelineConfig) -> None:
    tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", flavour="B")
    decide(config, "rollback", reason="it misses falls")
    back = in_service(config)
    again = tiny_runs.run(config, "r3", flavour="B")
    assert verdict(again) == "awaiting_sign_off"
    assert in_service(config) == back
    (reason,) = record.record(again).reasons
    assert reason.startswith("Ada Byron rolled back") and reason.endswith(": it misses falls")
    first = read(config, "r1").model
    assert first and again.inputs["AcceptanceGate", "in_service"].id == first.id
    unchanged = tiny_runs.run(config, "r4")
    assert ("AcceptanceGate", "in_service") not in unchanged.inputs, "no model but a withdrawn one"
    new = tiny_runs.run(config, "r5", flavour="C")
    assert new.inputs["AcceptanceGate", "in_service"].id == first.id
    assert verdict(new) == "pushed"
    assert "compared with the model of run r1, and now version r5/" in (
        refused(config, "approve", "r3")
    )
    once_more = tiny_runs.run(config, "r6", flavour="B")
    assert verdict(once_more) == "awaiting_sign_off"
    decide(config, "approve", "r6")
    assert verdict(tiny_runs.run(config, "r7", flavour="B")) == "pushed", "nobody withdraws it now"


def test_which_version_to_go_back_to(config: PipelineConfig) -> None:
    assert "There is no version in" in refused(config, "rollback")
    for run_id, flavour in (("r1", "A"), ("r2", "B"), ("r3", "C")):
        tiny_runs.run(config, run_id, flavour=flavour)
    first, second, third = versions(config.serving_dir)
    assert f"There is no version 7; there are: {first.number}, " in refused(config, "rollback", 7)
    assert "is in service already" in refused(config, "rollback", third.number)
    (second.folder / "saved_model.pb").write_text("")
    assert "saved_model.pb has 0 bytes" in refused(config, "rollback", second.number)
    decide(config, "rollback")
    assert in_service(config).origin.run_id == "r1", "the newest whole one"  # type: ignore[union-attr]
    decide(config, "rollback", third.number)
    assert in_service(config).origin.run_id == "r3", "a person may"  # type: ignore[union-attr]
    (in_service(config).folder / "saved_model.pb").unlink()
    decide(config, "rollback", third.number)
    assert in_service(config).holds(*third.origin.key)  # type: ignore[union-attr]
    foreign = config.serving_dir / "99"
    foreign.mkdir()
    (foreign / "saved_model.pb").write_text("graph")
    (foreign / "variables").mkdir()
    (foreign / "variables" / "variables.index").write_text("index")
    assert "nobody knows which model it is" in refused(config, "rollback", 99)


def test_what_cannot_be_written_is_said_before_or_instead(config: PipelineConfig) -> None:
    tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", flavour="B")
    in_the_way = config.serving_dir / ".incoming"
    in_the_way.write_text("a file")
    assert "cannot be put into" in refused(config, "rollback")
    in_the_way.unlink()
    with closing(sqlite3.connect(config.metadata_path)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert "another program holds it" in refused(config, "rollback")
    with launcher.output_folder(config):
        assert "is writing to" in refused(config, "rollback")
    decide(config, "rollback")


def test_a_decision_needs_a_name_and_a_reason(config: PipelineConfig) -> None:
    for by, reason in (("", "why"), ("  ", "why"), ("Ada", ""), ("Ada", "two\nlines")):
        for command in (["rollback"], ["approve", "r1"], ["reject", "r1"]):
            result = call(config, *command, "--by", by, "--reason", reason)
            assert result.exit_code == 2 and "should be one line of text" in result.output
    assert call(config, "rollback").exit_code == 2


def test_a_version_tells_what_a_lost_database_does_not(config: PipelineConfig) -> None:
    tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", flavour="B")
    config.metadata_path.unlink()
    decide(config, "rollback", reason="it misses falls")
    assert in_service(config).origin.run_id == "r1"  # type: ignore[union-attr]
    config.pipeline_root.rename(config.output_root / "former")
    again = tiny_runs.run(config, "r3", flavour="B")
    assert verdict(again) == "pushed", "another database, another model"
    assert recorded(config) == []
    tiny_runs.run(config, "r4", flavour="B")
    ((execution, linked),) = recorded(config)
    assert execution.custom_properties["reason"].string_value == "it misses falls"
    assert linked.keys() == {"pushed_model"}


def test_status_says_what_is_in_service_and_who_decided(
    asking: PipelineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "20261128T044830Z-9d12ab", "20261128T054830Z-9d12ac"
    tiny_runs.run(asking, first)
    assert json.loads(call(asking, "status", "--json").output)["in_service"] is None
    assert "In service: no version that is whole" in call(asking, "status").output
    decide(asking, "approve", first)
    tiny_runs.run(asking, second, flavour="B")
    decide(asking, "approve", second)
    said = decide(asking, "rollback", reason="it misses falls of patients in the dark")
    listed = json.loads(call(asking, "status", "--json").output)
    assert listed["in_service"] == in_service(asking).id
    old, new = listed["models"]
    assert (old["in_service"], old["withdrawn"]) == (True, False)
    assert (new["in_service"], new["withdrawn"]) == (False, True)
    assert old["version"] == in_service(asking).id
    assert [each["kind"] for each in old["sign_offs"]] == ["approved", "rolled_back"]
    assert [each["by"] for each in new["sign_offs"]] == ["Ada Byron"] * 2
    monkeypatch.setenv("COLUMNS", "80")
    shown = call(asking, "status").output
    assert all(name in shown for name in (first, second, in_service(asking).id))
    assert said.strip() in " ".join(shown.split())
    too_long = [line for line in shown.splitlines() if len(line) > 80]
    assert all(line.startswith("In service: ") for line in too_long), "paths are not wrapped"


def test_accuracy_and_recall_are_those_of_the_answers(config: PipelineConfig) -> None:
    rows = [("Lying", 0.9), ("Lying", 0.1), ("Lying", 0.8), ("Sitting", 0.1)]
    table = pd.DataFrame(
        {
            features.POSTURE: [posture for posture, _ in rows],
            "Sitting": [1 - share for _, share in rows],
            "Standing": 0.0,
            "Lying": [share for _, share in rows],
        }
    )
    folder = config.output_root / "answers"
    folder.mkdir()
    table.to_parquet(folder / "predictions-0.parquet")
    run = tiny_runs.run(config, "r1")
    answered = Artifact(99, "Predictions", str(folder), {}, 1, "r1", 1.0)
    outputs = {**run.outputs, ("Predictor", "predictions"): answered}
    (model,) = status._models([replace(run, outputs=outputs), run], [])
    assert (model.accuracy, model.lying_recall) == (0.75, pytest.approx(2 / 3))
