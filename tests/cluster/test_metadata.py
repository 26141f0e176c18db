"""The commands that read runs, where two people keep theirs in one database on a server."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.examples.example_gen import split_of_clip
from pipeline.runs import descent
from schema import features
from tests.cluster.conftest import ONE_NODE, Cluster
from tests.cluster.database import PASSWORD, VARIABLE, MariaDB
from tests.cluster.hosts import Hosts
from tests.cluster.slurm import ROOT, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


class Person:
    """Somebody on n1 with an output folder."""

    def __init__(self, hosts: Hosts, out: Path) -> None:
        self.out, self.hosts = out, hosts

    def call(
        self, *arguments: object, password: str = PASSWORD
    ) -> subprocess.CompletedProcess[str]:
        """Runs one of the project's programs on the output folder."""
        command = [sys.executable, *map(str, arguments), "--output-root", str(self.out)]
        return subprocess.run(  # noqa: S603 (a command of ours)
            self.hosts.command("n1", *command),
            cwd=ROOT,
            env={**os.environ, VARIABLE: password},
            capture_output=True,
            text=True,
        )

    def lookdeep(self, *arguments: object) -> str:
        """Runs `lookdeep`; returns what it printed."""
        done = self.call("-m", "pipeline.commands.script", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def runs(self) -> list[dict[str, Any]]:
        """What `lookdeep status` knows."""
        return json.loads(self.lookdeep("status", "--json"))["runs"]


@pytest.fixture(scope="module")
def people(
    cluster: Cluster,
    mariadb: MariaDB,
    tranches: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Person, Person]:
    """Two, whose jobs ran at the same time: one pushed a model, that of the other was refused."""
    folder = tmp_path_factory.mktemp("people")
    people = (
        Person(cluster.slurm.hosts, folder / "pushed"),
        Person(cluster.slurm.hosts, folder / "refused"),
    )
    jobs = [
        cluster.submit(
            person.out,
            tranches,
            ONE_NODE,
            env={VARIABLE: PASSWORD},
            metadata=mariadb.settings,
            **settings,
        )
        for person, settings in zip(
            people, ({}, {"acceptance": {"accuracy_floor": 1.01}}), strict=True
        )
    ]
    wait_for(lambda: all(job.state == "RUNNING" for job in jobs), 60, "both running")
    for job, state in zip(jobs, ("COMPLETED", "FAILED"), strict=True):
        assert job.end() == state, job.said
    assert int(mariadb.query("SELECT COUNT(*) FROM lookdeep.Artifact")) > 0
    return people


def test_two_runs_on_one_database_do_not_mix(people: tuple[Person, Person]) -> None:
    for person, verdict in zip(people, ("pushed", "not_blessed"), strict=True):
        record = json.loads((person.out / "run.json").read_text())
        assert record["verdict"] == verdict
        paths = [path for name, path in record["paths"].items() if name != "metadata"]
        assert all(path.startswith(str(person.out)) for path in paths), paths
        assert not (person.out / "metadata.sqlite").exists()


def test_status_lists_the_runs_of_its_own_folder(people: tuple[Person, Person]) -> None:
    pushed, refused = people
    assert [run["verdict"] for run in pushed.runs()] == ["pushed"]
    assert [run["verdict"] for run in refused.runs()] == ["not_blessed"]


def test_a_page_drawn_again_has_the_history_of_its_own_folder(
    people: tuple[Person, Person],
) -> None:
    pushed, refused = people
    page = Path(pushed.lookdeep("review").splitlines()[-1]).read_text()
    assert pushed.runs()[0]["run_id"] in page
    assert refused.runs()[0]["run_id"] not in page


def test_the_pushed_model_is_exported(people: tuple[Person, Person], tmp_path: Path) -> None:
    people[0].lookdeep("export", "--to", tmp_path / "device")
    assert (tmp_path / "device" / "posture_int8.tflite").is_file()


@pytest.mark.parametrize(
    "command", ["status", "review", "export", "purge --clip c --yes", "run --config {settings}"]
)
def test_a_copied_folder_is_refused_in_one_sentence(
    people: tuple[Person, Person], tmp_path: Path, command: str
) -> None:
    """The server knows the folder by its path."""
    original = people[0]
    copy = Person(original.hosts, Path(shutil.copytree(original.out, tmp_path / "copy")))
    (settings,) = copy.out.glob("review/*/settings.toml")
    arguments = command.format(settings=settings).split()
    done = copy.call("-m", "pipeline.commands.script", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"as those of {original.out}; move the folder back there" in done.stderr


def test_a_wrong_password_is_reported_in_one_sentence(people: tuple[Person, Person]) -> None:
    done = people[0].call("-m", "pipeline.commands.script", "status", password="something else")  # noqa: S106 (no real password)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "see whether it runs, and takes this user and password" in done.stderr
    assert "something else" not in done.stderr


def test_a_purge_leaves_nothing_of_a_clip_and_the_other_folder_alone(
    people: tuple[Person, Person],
) -> None:
    pushed, refused = people
    with (pushed.out / "data" / "tranch_master.csv").open(newline="") as table:
        clip = next(
            row["clip"]
            for row in csv.DictReader(table)
            if row["primary_posture"] in features.POSTURES
            and split_of_clip(row["clip"].encode(), [70, 15, 15]) == 0
        )
    wanted = descent.pattern(features.CLIP, clip)
    untouched = sorted(refused.out.rglob("*"))
    assert descent.holds(pushed.out / "artifacts", wanted)
    said = pushed.lookdeep("purge", "--clip", clip, "--yes")
    assert "was trained on it, pushed to" in said
    assert not descent.holds(pushed.out, wanted)
    assert not list(pushed.out.glob("artifacts/ImageTable/images/*"))
    assert [run["verdict"] for run in pushed.runs()] == ["pushed"]
    assert sorted(refused.out.rglob("*")) == untouched
    assert descent.holds(refused.out / "artifacts", wanted)


def test_the_password_is_in_no_file(people: tuple[Person, Person]) -> None:
    for person in people:
        kept = [path for path in person.out.rglob("*") if path.is_file()]
        assert kept
        for path in kept:
            assert PASSWORD.encode() not in path.read_bytes(), path
