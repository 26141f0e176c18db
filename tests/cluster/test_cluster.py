"""Whole runs under Slurm on three hosts: equal results, lost programs and nodes, cancellation.

Starting TensorFlow Extended and Flink takes most of the time, so there are two output folders:
one of jobs on one node, and one of jobs on Flink, each of which goes on from the one before.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from pipeline.config import PipelineConfig
from pipeline.runs.reader import Runs
from pipeline.runs.run import Artifact, Run
from tests.cluster.conftest import ONE_NODE, THREE_NODES, Cluster, Job, gone
from tests.cluster.slurm import wait_for
from tests.cluster.test_conformance import same

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

EPOCHS = 12
# A folder's name with what has a meaning to Slurm, shells, YAML, Java, Beam and XML.
WILD = '50%j it\'s "out" $HOME #1 & {scratch} <a:b, c=d>'


@dataclass(frozen=True)
class Finished:
    """A run that ended, and what run.json said then."""

    out: Path
    said: str
    record: dict[str, Any]

    @classmethod
    def of(cls, job: Job) -> "Finished":
        assert job.end() == "COMPLETED", job.said
        return cls(job.out, job.said, job.record)

    @property
    def states(self) -> dict[str, str]:
        return {step["name"]: step["state"] for step in self.record["components"]}

    @property
    def read(self) -> Run:
        return Runs(self.out).read(self.record["run_id"])


@dataclass(frozen=True)
class OneNode:
    """A job that went back into the queue in training, and one that waited and lost its driver."""

    run: Finished
    second: Job
    second_waited: list[str]
    left: dict[int, str]  # processes left by the second


@pytest.fixture(scope="module")
def one_node(cluster: Cluster, tranches: Path, tmp_path_factory: pytest.TempPathFactory) -> OneNode:
    out = tmp_path_factory.mktemp("one_node") / WILD
    epochs = {"scratch_epochs": EPOCHS, "early_stopping_patience": EPOCHS}
    job = cluster.submit(out, tranches, ONE_NODE, **epochs)
    second = cluster.submit(out, tranches, ONE_NODE, seed=2)
    job.reach("Trainer: running")
    waited = [second.state]
    job.reach(f"epoch 3/{EPOCHS}: ")
    # As Slurm does near the time limit.
    cluster.slurm.run("scancel", "--signal=USR1", "--batch", job.number)
    job.reach("back into the queue")
    wait_for(lambda: job.said.count("TensorFlow Extended: ran") == 2, 300, "its second life")
    waited.append(second.state)
    run = Finished.of(job)
    second.reach("TrancheExampleGen: cached")
    second.kill("n1", "pipeline.process.worker")
    second.end(120)
    return OneNode(run, second, waited, gone(second))


@dataclass(frozen=True)
class OnFlink:
    """Three jobs on three nodes: cancelled; lost a node, then Flink; finished."""

    cancelled: Job
    lost: Job
    run: Finished
    left: list[dict[int, str]]  # processes left by each
    converted_on: set[str]  # hosts with a process that decodes pictures


@pytest.fixture(scope="module")
def on_flink(
    flink: None, cluster: Cluster, tranches: Path, tmp_path_factory: pytest.TempPathFactory
) -> OnFlink:
    out = tmp_path_factory.mktemp("on_flink") / WILD
    left: list[dict[int, str]] = []

    cancelled = cluster.submit(out, tranches, THREE_NODES)
    converted_on: set[str] = set()

    def ingested() -> bool:
        converted_on.update(_hosts_with(cluster, "components.ingest.converter"))
        return "TFRecords: ran" in cancelled.said or cancelled.state != "RUNNING"

    cancelled.reach("TFRecords: running")
    wait_for(ingested, 300, "TFRecords")
    cancelled.reach("Transform: running")
    cluster.call("cancel", cancelled.number)
    left.append(gone(cancelled))

    lost = cluster.submit(out, tranches, THREE_NODES)
    lost.reach("Transform: running")
    lost.kill("n2", "TaskManagerRunner", "flink.worker_pool", "flink.forker")
    lost.reach("Evaluator: running")
    lost.kill("n1", "StandaloneSessionClusterEntrypoint")
    lost.end(120)
    left.append(gone(lost))

    last = cluster.submit(out, tranches, THREE_NODES)
    run = Finished.of(last)
    left.append(gone(last))
    return OnFlink(cancelled, lost, run, left, converted_on)


def test_no_process_is_left_however_a_job_ends(on_flink: OnFlink, one_node: OneNode) -> None:
    assert [*on_flink.left, one_node.left] == [{}, {}, {}, {}]
    assert on_flink.cancelled.state == "CANCELLED"


def test_a_lost_node_costs_a_retry_not_the_run(on_flink: OnFlink) -> None:
    before, after = on_flink.lost.said.split("Lost n2; continuing without it")
    assert "TrancheExampleGen: cached" in before
    assert "StatisticsGen: cached" in after
    assert "Transform: ran" in after


def test_a_job_that_lost_its_job_manager_fails_and_says_so(on_flink: OnFlink) -> None:
    said = on_flink.lost.said
    assert on_flink.lost.state == "FAILED"
    assert "on n1 was lost; submit the run again, and it continues" in said.replace("\n", " ")
    assert "Traceback" not in said


def test_a_job_that_lost_its_driver_fails_and_says_so(one_node: OneNode) -> None:
    assert one_node.second.state == "FAILED"
    assert "The worker process ended with signal SIGKILL" in one_node.second.said


def test_the_next_job_goes_on_and_ends_pushed(on_flink: OnFlink) -> None:
    assert on_flink.run.record["verdict"] == "pushed"
    states = on_flink.run.states
    assert (states["TFRecords"], states["Transform"], states["Trainer"]) == ("cached",) * 3
    assert (states["Evaluator"], states["Pusher"]) == ("ran", "ran")


def test_pictures_are_converted_on_more_than_one_node(on_flink: OnFlink) -> None:
    assert len(on_flink.converted_on) > 1


def test_tfrecords_equal_those_of_one_node_byte_for_byte(
    on_flink: OnFlink, one_node: OneNode
) -> None:
    ours, theirs = (
        {
            str(path.relative_to(run.out)): path.read_bytes()
            for pattern in ("*.tfrecord.gz", "rejects.csv")
            for path in PipelineConfig(output_root=run.out).tfrecords_dir.rglob(pattern)
        }
        for run in (on_flink.run, one_node.run)
    )
    assert len(ours) > 3
    assert ours == theirs


def test_splits_statistics_and_transformed_pictures_equal_those_of_one_node(
    on_flink: OnFlink, one_node: OneNode
) -> None:
    runs = (on_flink.run, one_node.run)
    assert runs[0].record["counts"] == runs[1].record["counts"]
    ours, theirs = (run.read.outputs for run in runs)
    for key in (("TrancheExampleGen", "examples"), ("Transform", "transformed_examples")):
        for split in ("train", "eval"):
            found = _records(ours[key].folder / f"Split-{split}")
            assert found == _records(theirs[key].folder / f"Split-{split}"), (key, split)
            assert found
    key = ("StatisticsGen", "statistics")
    same(*(_statistics(outputs[key].folder / "Split-train") for outputs in (ours, theirs)))


def test_metrics_by_slice_equal_the_local_evaluation_of_the_same_model(
    on_flink: OnFlink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Evaluator of the job once more, on Beam's local runner."""
    monkeypatch.setattr(sys, "argv", sys.argv[:1])  # the executor would parse pytest's flags
    from tfx.components.evaluator.executor import Executor
    from tfx.types import standard_artifacts

    from pipeline import beam
    from pipeline.runs.evaluation_result import read_slices, slice_name

    run = on_flink.run.read
    outputs = run.outputs

    def given(kind: type, found: Artifact) -> Any:
        artifact = kind()
        artifact.uri = found.uri
        if "split_names" in found.properties:
            artifact.split_names = found.properties["split_names"]
        return artifact

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
        dict(run.properties["Evaluator"]),
    )
    ours, again = (
        {slice_name(key): metrics.model_dump() for key, metrics in read_slices(uri).items()}
        for uri in (outputs["Evaluator", "evaluation"].uri, evaluation.uri)
    )
    assert ours["overall"]["accuracy_low"] is not None
    same(ours, again)


def test_a_job_near_its_time_limit_goes_back_into_the_queue(one_node: OneNode) -> None:
    assert one_node.run.record["verdict"] == "pushed"
    training = Path(one_node.run.record["paths"]["training"])
    history = json.loads((training / "history.json").read_text())
    counted = [row["epoch"] for row in history["phases"]["scratch"]["epochs"]]
    assert counted == list(range(EPOCHS))  # none twice, none missing


def test_two_jobs_with_one_output_folder_take_turns(one_node: OneNode) -> None:
    assert one_node.second_waited == ["PENDING", "PENDING"]
    assert "TrancheExampleGen: cached" in one_node.second.said


def test_status_and_logs_are_those_of_the_job(cluster: Cluster, one_node: OneNode) -> None:
    second = one_node.second
    assert cluster.call("status", second.number).startswith("FAILED: ")
    assert cluster.call("logs", second.number, "--output-root", second.out) == second.said


def _hosts_with(cluster: Cluster, program: str) -> set[str]:
    """The hosts on which a program runs."""
    hosts = cluster.slurm.hosts
    return {
        name
        for name in hosts.addresses
        if any(program in command for command in hosts.processes([name]).values())
    }


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
