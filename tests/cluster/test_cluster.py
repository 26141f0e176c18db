"""Whole runs under Slurm on three hosts: results, lost nodes, time limits, cancellation."""

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from pipeline.config import PipelineConfig
from pipeline.runs.lineage import Artifact, Lineage
from tests.cluster.conftest import THREE_NODES, Cluster, Job, gone
from tests.cluster.database import PASSWORD, VARIABLE, MariaDB
from tests.cluster.slurm import wait_for
from tests.cluster.test_conformance import same
from tests.support.running import SETTINGS, Command

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def first(
    engine: str, cluster: Cluster, tranches: Path, tmp_path_factory: pytest.TempPathFactory
) -> Job:
    """A run on three nodes, from its submission to its end."""
    job = cluster.submit(
        tmp_path_factory.mktemp(engine) / "out", tranches, THREE_NODES | {"engine": engine}
    )
    assert job.end() == "COMPLETED", job.said
    return job


@pytest.fixture(scope="module")
def at_home(tranches: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of the same run by `local_runner.py`."""
    folder = tmp_path_factory.mktemp("at_home")
    ended = Command(folder).run(folder / "out", "--data-root", str(tranches), **SETTINGS)
    assert ended.status == 0, ended.text
    return ended.out


def test_a_run_on_three_nodes_ends_pushed(first: Job) -> None:
    assert first.record["verdict"] == "pushed"
    assert gone(first) == {}


def test_splits_statistics_and_transformed_pictures_equal_the_local_runs(
    first: Job, at_home: Path
) -> None:
    assert first.record["counts"] == json.loads((at_home / "run.json").read_text())["counts"]
    for key in (("TrancheExampleGen", "examples"), ("Transform", "transformed_examples")):
        ours, theirs = (_artifact(out, key).folder for out in (first.out, at_home))
        for split in ("train", "eval"):
            found = _records(ours / f"Split-{split}")
            assert found == _records(theirs / f"Split-{split}"), (key, split)
            assert found
    statistics = [
        _statistics(_artifact(out, ("StatisticsGen", "statistics")).folder / "Split-train")
        for out in (first.out, at_home)
    ]
    same(*statistics)


def test_metrics_by_slice_equal_the_local_evaluation_of_the_same_model(
    first: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Evaluator of the job once more, on Beam's local runner."""
    monkeypatch.setattr(sys, "argv", sys.argv[:1])  # the executor would parse pytest's flags
    from tfx.components.evaluator.executor import Executor
    from tfx.types import standard_artifacts

    from pipeline import beam
    from pipeline.runs import evaluation_result

    lineage = Lineage(PipelineConfig(output_root=first.out))
    run = lineage.runs()[-1]

    def given(kind: type, found: Artifact) -> Any:
        artifact = kind()
        artifact.uri = found.uri
        if "split_names" in found.properties:
            artifact.split_names = found.properties["split_names"]
        return artifact

    outputs = lineage.outputs(run)
    evaluation = standard_artifacts.ModelEvaluation()
    evaluation.uri = str(tmp_path / "evaluation")
    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = str(tmp_path / "blessing")
    context = Executor.Context(
        beam_pipeline_args=beam.local_args(), tmp_dir=str(tmp_path), unique_id="1"
    )
    Executor(context).Do(
        {
            "examples": [
                given(standard_artifacts.Examples, outputs["TrancheExampleGen", "examples"])
            ],
            "model": [given(standard_artifacts.Model, outputs["Trainer", "model"])],
        },
        {"evaluation": [evaluation], "blessing": [blessing]},
        lineage.settings(run)["Evaluator"],
    )
    ours = evaluation_result.read_metrics(outputs["Evaluator", "evaluation"].uri)
    again = evaluation_result.read_metrics(evaluation.uri)
    assert ours["overall"]["accuracy_low"] is not None
    same(_points(ours), _points(again))


def test_a_node_lost_in_transform_costs_a_retry_not_the_run(
    engine: str, cluster: Cluster, tranches: Path, tmp_path: Path
) -> None:
    job = cluster.submit(tmp_path / "out", tranches, THREE_NODES | {"engine": engine})
    job.reach("Transform: running")
    _kill(job, "n2", "TaskManagerRunner", "pipeline.cluster.flink.pool", "pipeline.cluster.pool")
    assert job.end() == "COMPLETED", job.said
    assert "Lost n2; going on without" in job.said
    states = job.states
    assert (states["TrancheExampleGen"], states["StatisticsGen"]) == ("cached", "cached")
    assert (states["Transform"], states["Pusher"]) == ("ran", "ran")


def test_a_time_limit_in_training_requeues_the_job(
    cluster: Cluster, tranches: Path, tmp_path: Path
) -> None:
    epochs = 100
    job = cluster.submit(
        tmp_path / "out",
        tranches,
        {"cpus": 2, "memory_gb": 4, "time_limit": "0:03:00", "warning": 60},
        scratch_epochs=epochs,
        early_stopping_patience=epochs,
    )
    assert job.end(1500) == "COMPLETED", job.said
    assert "back into the queue" in job.said
    history = json.loads((Path(job.record["paths"]["training"]) / "history.json").read_text())
    counted = [row["epoch"] for row in history["phases"]["scratch"]["epochs"]]
    assert counted == list(range(epochs))
    assert job.record["verdict"] == "pushed"


def test_a_job_that_lost_its_heart_or_was_cancelled_goes_on(
    flink: None, cluster: Cluster, tranches: Path, tmp_path: Path
) -> None:
    """One output folder: the job manager is killed, the driver, and five jobs are cancelled."""
    out, on_flink = tmp_path / "out", THREE_NODES | {"engine": "flink"}
    job = cluster.submit(out, tranches, on_flink)
    job.reach("Transform: running")
    _fails(job, "StandaloneSessionClusterEntrypoint")
    assert "on n1 was lost; submit the run again and it goes on" in job.said
    assert "Traceback" not in job.said

    job = cluster.submit(out, tranches, on_flink)
    job.reach("Transform: running")
    assert "TrancheExampleGen: cached" in job.said
    _fails(job, "pipeline.process.worker")
    assert "The worker process ended with signal SIGKILL" in job.said

    moments = random.Random(5)  # noqa: S311 (drawn data, no secret)
    for _ in range(5):
        job = cluster.submit(out, tranches, on_flink)
        job.reach("TensorFlow Extended: running")
        time.sleep(moments.uniform(0, 40))
        cluster.call("cancel", job.number)
        assert gone(job) == {}

    last = cluster.submit(out, tranches, on_flink)
    assert last.end() == "COMPLETED", last.said
    assert last.record["verdict"] == "pushed"
    assert last.states["TrancheExampleGen"] == "cached"


def test_two_runs_on_one_database_do_not_mix(
    cluster: Cluster,
    mariadb: MariaDB,
    tranches: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    one_node = {"cpus": 2, "memory_gb": 4}
    jobs = [
        cluster.submit(tmp_path / name, tranches, one_node, metadata=mariadb.settings, seed=seed)
        for seed, name in enumerate(("one", "two"), 1)
    ]
    wait_for(lambda: all(job.state == "RUNNING" for job in jobs), 60, "both running")
    for job in jobs:
        assert job.end() == "COMPLETED", job.said
        assert job.record["verdict"] == "pushed"
        folder = str(job.out)
        assert all(path.startswith(folder) for path in _paths_of(job)), job.record["paths"]
        assert not (job.out / "metadata.sqlite").exists()
        kept = [path for path in job.out.rglob("*") if path.is_file()]
        assert kept
        for path in kept:
            assert PASSWORD.encode() not in path.read_bytes(), path
    assert int(mariadb.query("SELECT COUNT(*) FROM lookdeep.Artifact")) > 0


def test_two_runs_on_one_output_folder_take_turns(
    cluster: Cluster, tranches: Path, tmp_path: Path
) -> None:
    one_node = {"cpus": 2, "memory_gb": 4}
    jobs = [cluster.submit(tmp_path / "out", tranches, one_node, seed=seed) for seed in (1, 2)]
    wait_for(lambda: jobs[0].state == "RUNNING", 60, "the first one running")
    assert jobs[1].state == "PENDING"
    for job in jobs:
        assert job.end() == "COMPLETED", job.said
    lineage = Lineage(PipelineConfig(output_root=tmp_path / "out"))
    models = [lineage.outputs(run)["Trainer", "model"].uri for run in lineage.runs()]
    assert len(models) == len(set(models)) == 2


def _paths_of(job: Job) -> list[str]:
    return [path for name, path in job.record["paths"].items() if name != "metadata"]


def _points(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The metrics without their confidence bounds.

    TFMA's jackknife deals the examples into its samples with an unseeded generator, so
    that the bounds differ from run to run, on one machine, too.
    """
    return {
        name: {key: value for key, value in found.items() if not key.endswith(("_low", "_high"))}
        for name, found in metrics.items()
    }


def _fails(job: Job, program: str) -> None:
    """Kills a program on the first node: the job fails within a minute and leaves nothing."""
    killed = time.monotonic()
    _kill(job, "n1", program)
    assert job.end(60) == "FAILED"
    assert time.monotonic() - killed < 60
    assert gone(job) == {}


def _kill(job: Job, host: str, *words: str) -> None:
    """Kills the processes of a host whose command line has one of the words."""
    running = job.cluster.slurm.hosts.processes([host])
    found = [
        pid
        for pid, command in running.items()
        if any(word in command for word in words) and "flink.keeper" not in command
    ]
    assert found, f"no {words} on {host}"
    for pid in found:
        with suppress(ProcessLookupError):  # the death of another one took it along
            os.kill(pid, signal.SIGKILL)


def _artifact(out: Path, key: tuple[str, str]) -> Artifact:
    lineage = Lineage(PipelineConfig(output_root=out))
    return lineage.outputs(lineage.runs()[-1])[key]


def _records(folder: Path) -> list[bytes]:
    """The examples of a split, in an order of their own, each with its features sorted."""
    return sorted(
        tf.train.Example.FromString(record.numpy()).SerializeToString(deterministic=True)
        for path in folder.iterdir()
        for record in tf.data.TFRecordDataset(str(path), compression_type="GZIP")
    )


def _statistics(folder: Path) -> dict[str, Any]:
    """Counts, means and frequent values of each feature of each slice."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    content = (folder / "FeatureStats.pb").read_bytes()
    figures: dict[str, Any] = {}
    for dataset in statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets:
        for feature in dataset.features:
            name = (dataset.name, *feature.path.step)
            figures[str(name)] = [
                feature.num_stats.common_stats.num_non_missing
                or feature.string_stats.common_stats.num_non_missing,
                feature.num_stats.mean,
                sorted([v.value, v.frequency] for v in feature.string_stats.top_values),
            ]
    return figures
