"""Each engine gives what Beam's local runner gives. Its word that it is done proves nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.cluster import engines
from pipeline.cluster.settings import ClusterSettings
from tests.cluster.conftest import Cluster
from tests.cluster.flink import Flink
from tests.support.running import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]

_CODE = """
import sys
from pathlib import Path
import conformance
{before}
conformance.main()
"""
_ALLOCATION = """
from pipeline.cluster.allocation import Allocation
Allocation.from_slurm(1, Path(sys.argv[1]).with_name("lost")).publish()
"""
_FLINK = """
from pipeline.cluster.flink.settings import FlinkJob
from pipeline.cluster.settings import ClusterSettings
cluster = ClusterSettings(engine="flink", memory_gb=6, {settings})
FlinkJob.of(cluster, Path(sys.argv[1]).with_name("flink")).publish()
"""
PYTHONPATH = str(Path(__file__).parent)
PIPELINES = (
    "finish_bundle", "batching", "tags_and_two_sinks", "side_inputs", "combines",
    "group_by_key", "metrics", "tfrecords", "statistics", "transform", "evaluation",
)  # fmt: skip


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("local") / "out"
    subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", _CODE.format(before=""), str(folder), "--runner=DirectRunner",
         "--direct_running_mode=in_memory"],
        cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": PYTHONPATH},
    )  # fmt: skip
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def three_nodes(
    engine: Literal["srun", "flink"], cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    flink = _FLINK.format(settings="nodes=3") if engine == "flink" else ""
    return _results(cluster, tmp_path_factory.mktemp(engine) / "out", engine, 3, flink)


@pytest.fixture(scope="module")
def other_flink(
    flink: None, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Results of a job on n1 with a Flink on n2 that is none of its own."""
    folder = tmp_path_factory.mktemp("other_flink")
    there = Flink(cluster.slurm, "n2", folder / "there")
    settings = _FLINK.format(settings=f'flink_master="{there.master}"')
    yield _results(cluster, folder / "out", "flink", 1, settings)
    there.close()
    assert there.finished() >= len(PIPELINES)


def _results(
    cluster: Cluster, folder: Path, engine: Literal["srun", "flink"], nodes: int, flink: str
) -> dict[str, Any]:
    """Runs all pipelines in a job."""
    script = folder.with_name("run_conformance.py")
    script.write_text(_CODE.format(before=_ALLOCATION + flink))
    options = " ".join(engines.beam_args(ClusterSettings(engine=engine, nodes=nodes)))
    printed = cluster.slurm.run(
        "sbatch", "--wait", f"--nodes={nodes}", "--ntasks-per-node=1", f"--output={folder}.log",
        f"--chdir={ROOT}", f"--export=ALL,PYTHONPATH={PYTHONPATH}:{ROOT}",
        f"--wrap={sys.executable} {script} {folder} {options}",
        timeout=1100,
    )  # fmt: skip
    results = folder / "results.json"
    assert results.exists(), printed + Path(f"{folder}.log").read_text()[-3000:]
    return json.loads(results.read_text())


def test_the_local_runner_gives_the_known_answers(local: dict[str, Any]) -> None:
    numbers = range(600)
    assert local["finish_bundle"] == {"sum": [sum(numbers)]}
    assert sorted(local["batching"]["n"]) == list(numbers)
    assert sorted(local["tags_and_two_sinks"]["odd"]) == list(numbers[1::2])
    assert sorted(local["tags_and_two_sinks"]["even"]) == list(numbers[::2])
    squares = [n * n for n in range(5)]
    assert sorted(local["side_inputs"]["n"]) == sorted(
        n * 600 + squares[n % 5] + 600 for n in numbers
    )
    assert ["Sitting", 200, sum(numbers[::3])] in local["group_by_key"]["n"]
    assert local["combines"]["top"] == [[599, 598, 597, 596, 595]]
    assert local["metrics"] == {"sizes": 600}
    assert sorted(local["transform"]["vocabulary"]) == ["Lying", "Sitting", "Standing"]
    assert local["statistics"]["datasets"][0]["numExamples"] == "600"
    assert local["evaluation"]["[]"]["example_count"]["doubleValue"] == 600


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_three_nodes_give_what_the_local_runner_gives(
    pipeline: str, local: dict[str, Any], three_nodes: dict[str, Any]
) -> None:
    same(three_nodes[pipeline], local[pipeline])


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_flink_that_was_there_gives_what_the_local_runner_gives(
    pipeline: str, local: dict[str, Any], other_flink: dict[str, Any]
) -> None:
    same(other_flink[pipeline], local[pipeline])


def same(found: Any, expected: Any) -> None:
    """Counts and strings exactly, floats to a millionth."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
    else:
        assert found == expected
