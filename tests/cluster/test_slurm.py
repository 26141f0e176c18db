"""Slurm itself: the script's directives, forms of time, and variables that would overrule them."""

import math
import sys
from pathlib import Path

import pytest

from pipeline.cluster import batch
from pipeline.cluster import settings as cluster_settings
from pipeline.cluster.settings import ClusterSettings
from pipeline.cluster.slurm import ENDED
from tests.cluster.conftest import Cluster
from tests.cluster.slurm import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]

FOLDERS = (
    "50%job", "%%j %u", "it's \"here\"", "$HOME `id` $(id)", "a  b\tc", "#SBATCH --uid=0",
    "[a]{b}*?", "ä照", "-x", "a:b,c=d;e|f&g", "~", "'", '"',
)  # fmt: skip
TIMES = (
    "90", "90:30", "1:30:00", "01:02:03", "2-12", "2-12:30", "2-12:30:01", "1-0", "0", "0:00",
    "UNLIMITED", "infinite", "3:0:0", "100:00:00",
)  # fmt: skip
# Of a user's shell profile, or of the job in which the user works.
OVERRULING = {
    "SBATCH_PARTITION": "nowhere",
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_QOS": "nothing",
    "SBATCH_CONSTRAINT": "nothing",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_OPEN_MODE": "truncate",
    "SLURM_MEM_PER_CPU": "1",
    "SLURM_JOB_ID": "1",
    "SLURM_TIMELIMIT": "1",
}
_SUBMIT = """
import sys
from components import processes
from pipeline.cluster import slurm
processes.isolate()
print(slurm.submit(sys.argv[1]))
"""


def submit(cluster: Cluster, script: str) -> str:
    """Submits a script as the product does, from a shell with variables that would overrule it."""
    number = cluster.slurm.run(sys.executable, "-c", _SUBMIT, script, **OVERRULING).strip()
    assert number.isdigit(), number
    return number


def test_the_output_is_where_logs_looks_for_it(cluster: Cluster, tmp_path: Path) -> None:
    small = ClusterSettings(cpus=1, memory_gb=1, constraint="[fast|here]")
    jobs = {}
    for name in FOLDERS:
        folder = tmp_path / name / "out" / "cluster"
        folder.mkdir(parents=True)
        script = batch.script(small, folder / "absent.json", folder)
        jobs[name] = submit(cluster, script)
    for name, number in jobs.items():
        wait_for(lambda number=number: cluster.slurm.state(number) in ENDED, 200, name)
        said = cluster.call("logs", number, "--output-root", tmp_path / name / "out")
        assert said.startswith("The job's settings ") and "absent.json cannot be read" in said, name


def test_times_mean_to_slurm_what_they_mean_here(cluster: Cluster, tmp_path: Path) -> None:
    jobs = {}
    for form in TIMES:
        limits = ClusterSettings(cpus=1, memory_gb=1, time_limit=form)
        script = batch.script(limits, tmp_path / "x.json", tmp_path)
        jobs[form] = submit(cluster, script.replace("\n", "\n#SBATCH --hold\n", 1))
    for form, number in jobs.items():
        shown = cluster.slurm.run("squeue", "--noheader", "-o", "%l", "-j", number).strip()
        expected = math.ceil(cluster_settings._seconds(form) / 60)
        found = 0 if shown == "UNLIMITED" else cluster_settings._seconds(shown) // 60
        assert found == expected, form
        cluster.slurm.run("scancel", number)


def test_a_dry_run_has_slurm_check_the_script(cluster: Cluster, tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text('[cluster]\nmemory_gb = 1\npartition = "nowhere"\n')
    out = tmp_path / "out"
    said = cluster.call("submit", "--dry-run", "--config", toml, "--output-root", out)
    assert said.splitlines()[-1].startswith("sbatch: ")
    assert "nvalid partition name" in said.splitlines()[-1]
    assert not out.exists()
