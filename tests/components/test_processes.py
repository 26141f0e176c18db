"""How the project's processes are started, and what they do first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components import processes

FAILING = """
import apache_beam as beam
from components import processes

processes.lose_output_on_full_disk()
try:
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        pipeline | beam.Create([0]) | beam.Map(lambda number: 1 / number)
except Exception as error:
    with open({path!r}, "w") as file:
        file.write(str(error))
"""


def test_a_failure_is_reported_on_a_disk_without_space_for_its_log(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(  # noqa: S603 (a command of ours)
            [sys.executable, "-P", "-c", FAILING.format(path=str(said))],
            env=processes.environment(),
            stdout=full,
            stderr=full,
        )
    assert done.returncode == 0
    assert "division by zero" in said.read_text()


LOADING = """
import sys
from components import processes

processes.hush_libraries()
import tfx
import tensorflow as tf
from tensorflow_model_analysis import api

for _ in range(20):
    tf.function(lambda: tf.constant(0))()  # TensorFlow warns of so much tracing
print("This is heard.", file=sys.stderr)
"""


def test_libraries_do_not_speak_to_the_user() -> None:
    silent = {name: value for name, value in os.environ.items() if "WARNINGS" not in name}
    silent.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-P", "-c", LOADING],
        env=silent | {"PYTHONPATH": processes.environment()["PYTHONPATH"]},
        check=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stderr == "This is heard.\n"


PATH = "from components import processes; print(processes.environment()['PYTHONPATH'])"


def _path_of_a_child() -> str:
    """PYTHONPATH as a started process hands it on."""
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-P", "-c", PATH],
        env=processes.environment(),
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
    )
    return done.stdout.strip()


@pytest.mark.parametrize("others", [None, "/one:/two", "/one:", ":"])
def test_the_path_does_not_grow_from_start_to_start(
    monkeypatch: pytest.MonkeyPatch, others: str | None
) -> None:
    if others is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", others)
    path = processes.environment()["PYTHONPATH"]
    assert _path_of_a_child() == path
    folders = path.split(os.pathsep)
    assert folders[0] == str(processes._ROOT)
    assert set(folders[1:]) == {name for name in (others or "").split(os.pathsep) if name}
    assert "" not in folders, "it would stand for the current folder"
