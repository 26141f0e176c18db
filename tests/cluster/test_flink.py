"""What surrounds Flink: jars, memory, programs, lost nodes. Needs no Flink."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import processes
from components.errors import InputError
from pipeline.cluster import job
from pipeline.cluster.flink import configuration, jars, keeper
from pipeline.cluster.flink.configuration import TaskMemory
from pipeline.cluster.flink.plan import SessionPlan
from pipeline.cluster.flink.programs import Programs
from pipeline.cluster.settings import ClusterSettings
from pipeline.config import PipelineConfig
from pipeline.process import launcher


def test_missing_jars_are_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Flink is not in .*cluster_runner.py setup"):
        jars.check(tmp_path / "nowhere")


def test_a_damaged_jar_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = jars.place(tmp_path)
    place.mkdir(parents=True)
    for name in ("one.jar", "two.jar"):
        (place / name).write_text(name)
    digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"  # of "one"
    monkeypatch.setattr(jars, "_expected", lambda: {"one.jar": digest})
    with pytest.raises(InputError, match=r"one\.jar in .* is missing, damaged or unexpected"):
        jars.check(tmp_path)


@pytest.mark.parametrize("program", ["mvn", "java"])
def test_a_missing_program_is_named(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=f"There is no {program} on the PATH"):
        jars.fetch(tmp_path / "jars") if program == "mvn" else jars.java()
    assert not (tmp_path / "jars").exists()


def test_a_task_manager_keeps_within_its_memory() -> None:
    memory = TaskMemory.within(6 * 1024 // 4)
    parts = [
        int(value.removesuffix("m"))
        for name, value in memory.options().items()
        if name.endswith("size") or name.endswith(".max")
    ]
    assert sum(parts) == 6 * 1024 // 4
    assert min(memory.network, memory.managed, memory.heap) > 100


def test_only_the_given_address_is_listened_on(tmp_path: Path) -> None:
    configuration.write(
        tmp_path, address="10.1.2.3", rpc=1, rest=2, blobs=3, slots=2,
        memory=TaskMemory.within(2048),
    )  # fmt: skip
    lines = (tmp_path / "config.yaml").read_text().splitlines()
    assert {"jobmanager.bind-host: 10.1.2.3", "rest.bind-address: 10.1.2.3"} <= set(lines)


def test_the_keeper_starts_one_after_the_other_and_all_end_with_the_first(tmp_path: Path) -> None:
    first = f"touch {tmp_path}/first; echo ready; exec sleep 60"
    second = f"test -e {tmp_path}/first && touch {tmp_path}/second; exit 7"
    kept = _keeper(["sh", "-c", first], ["sh", "-c", second])
    assert kept.wait(30) == 7
    assert (tmp_path / "second").exists()


def test_the_keeper_ends_with_its_standard_input_and_clears_up(tmp_path: Path) -> None:
    kept = _keeper(["sh", "-c", f"echo {keeper.SCRATCH} > {tmp_path}/name; exec sleep 60"])
    while not (tmp_path / "name").exists() or not (tmp_path / "name").read_text().strip():
        assert kept.poll() is None
    scratch = Path((tmp_path / "name").read_text().strip())
    assert scratch.is_dir()
    kept.communicate(timeout=30)
    assert kept.returncode == 0
    assert not scratch.exists()


@given(text=st.text("/scrath{}:", max_size=24))
def test_no_path_is_taken_for_the_scratch_folder(text: str) -> None:
    assert keeper.SCRATCH not in f"{Path('/out', text.lstrip('/'))}/hosts"


def test_the_job_server_gets_a_folder_as_a_word_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parser cuts words of the form --name=value at a blank."""
    monkeypatch.setattr(jars, "java", lambda: "java")
    words = Programs(tmp_path, tmp_path / "a b").job_server("h:1", "10.0.0.1", 2, 3)
    assert words[words.index("--artifacts-dir") + 1] == str(tmp_path / "a b" / "artifacts")
    after = words[words.index("org.apache.beam.runners.flink.FlinkJobServerDriver") :]
    assert not any("=" in word for word in after)


def _plan(folder: Path) -> SessionPlan:
    return SessionPlan(
        address="10.0.0.1",
        nodes=["n1", "n2", "n3"],
        workers=1,
        folder=folder,
        jars=folder,
        master=None,
        workers_port=20001,
        task_manager_mb=1536,
    )


def test_a_lost_node_is_left_out_by_the_jobs_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {})
    plan = _plan(tmp_path)
    plan.publish()
    SessionPlan.of_this_process().mark_lost("n2")
    assert plan.healthy_nodes() == ["n1", "n3"]


@pytest.mark.parametrize(("node_losses", "launches"), [(0, 1), (1, 2), (9, 3)])
def test_a_job_gives_up_after_too_many_lost_nodes(
    node_losses: int, launches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(tmp_path)
    launched: list[str] = []

    def launch(*_: object) -> int:
        node = plan.healthy_nodes()[-1]
        plan.mark_lost(node)
        launched.append(node)
        return 1

    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(jars, "java", lambda: "java")
    monkeypatch.setattr(jars, "check", lambda folder: None)
    monkeypatch.setattr(SessionPlan, "of_slurm_job", lambda cluster, folder: plan)
    monkeypatch.setattr(launcher, "launch", launch)
    cluster = ClusterSettings(engine="flink", nodes=3, node_losses=node_losses)
    settings = job.JobSettings(config=PipelineConfig(), cluster=cluster)
    place = tmp_path / "settings.json"
    place.write_text(settings.model_dump_json())
    assert job.run(place) == 1
    assert launched == ["n3", "n2", "n1"][:launches]


def _keeper(*commands: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 (ours)
        keeper.command(*commands), env=processes.environment(), stdin=subprocess.PIPE
    )
