"""Flink gives what Beam's local runner gives, on a Flink of three hosts that runs already.

That a pipeline ends in the state DONE proves nothing, so results are compared. Flink that a
job starts itself differs only in who starts it; tests/cluster/test_cluster.py compares whole
runs on it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster import engines
from pipeline.cluster.settings import ClusterSettings
from pipeline.cluster.slurm import ENDED
from tests.cluster.conftest import Cluster
from tests.cluster.flink import Flink
from tests.cluster.slurm import wait_for
from tests.support.running import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]

_CODE = """
import sys
from pathlib import Path
from tests.cluster import conformance
{before}
conformance.main()
"""
_PLAN = """
from pipeline.cluster.flink.plan import SessionPlan
from pipeline.cluster.settings import ClusterSettings
cluster = ClusterSettings(engine="flink", workers=1, flink_master="{master}")
SessionPlan.of_slurm_job(cluster, Path(sys.argv[1]).with_name("flink")).publish()
"""
PIPELINES = (
    "finish_bundle", "batching", "tags_and_two_sinks", "side_inputs", "combines",
    "group_by_key", "tfrecords", "statistics", "transform", "evaluation",
)  # fmt: skip


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("local") / "out"
    subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", _CODE.format(before=""), str(folder), "--runner=DirectRunner",
         "--direct_running_mode=in_memory"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def on_flink(
    flink: None, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Results of a job with one node, on the Flink of all three."""
    folder = tmp_path_factory.mktemp("on_flink")
    running = Flink(cluster.slurm, folder / "running")
    script, out = folder / "run_conformance.py", folder / "out"
    script.write_text(_CODE.format(before=_PLAN.format(master=running.master)))
    options = " ".join(engines.beam_args(ClusterSettings(engine="flink")))
    job = cluster.slurm.run(
        "sbatch", "--parsable", f"--output={out}.log", f"--chdir={ROOT}",
        f"--export=ALL,PYTHONPATH={ROOT}",
        f"--wrap={sys.executable} {script} {out} {options}",
    ).strip()  # fmt: skip
    wait_for(lambda: cluster.slurm.state(job) in ENDED, 1100, "the end of all pipelines")
    results = out / "results.json"
    assert results.exists(), Path(f"{out}.log").read_text()[-3000:]
    running.close()
    assert running.finished() >= len(PIPELINES)
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
    assert local["batching"]["sum of sizes"] == [600]
    assert sorted(local["transform"]["vocabulary"]) == ["Lying", "Sitting", "Standing"]
    assert local["statistics"]["datasets"][0]["numExamples"] == "600"
    assert local["evaluation"]["[]"]["example_count"]["doubleValue"] == 600


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_flink_gives_what_the_local_runner_gives(
    pipeline: str, local: dict[str, Any], on_flink: dict[str, Any]
) -> None:
    same(on_flink[pipeline], local[pipeline])


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
