"""The disk fills in the midst of a run: a sentence, and after space is made the run goes on."""

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.conftest import Tried
from tests.support.running import SETTINGS, Command

# At the begin of which step, and how many bytes are left. The Pusher comes after two steps that
# write little, and copies a model of 12 MB.
MOMENTS = {"TFRecords": 0, "Transform": 0, "Trainer": 0, "ServingCheck": 5 * 2**20}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)], check=True)  # noqa: S603, S607 (the system's own command)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 (the system's own command)


def _fill(folder: Path, left: int) -> Path:
    """Takes all the space but the bytes to be left; returns the file to remove."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
        file.truncate(file.tell() - left)
    return path


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_full_disk_is_named_and_costs_no_finished_step(
    disk: Path, command: Command, tranches: Path, tried: Tried
) -> None:
    out = disk / "out"
    arguments = command.arguments(out, "--data-root", str(tranches), **SETTINGS)
    for step, left in MOMENTS.items():
        process = command.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        lines = []
        filler = None
        for line in process.stdout:
            lines.append(line)
            if line.startswith(f"{step}: running"):
                filler = _fill(disk, left)
        status, text = process.wait(), "".join(lines)
        assert filler is not None, text
        filler.unlink()
        assert status in (1, 2), text  # 2 where not even the record could be written
        assert re.search("No space left on device|There is no space left", text), text
        assert "Traceback" not in text, text
        assert not list((out / "serving/posture").glob("[0-9]*"))
        tried("disks filled")
    ended = command.run(out, "--data-root", str(tranches), **SETTINGS)
    assert ended.status == 0, ended.text
    before = ("TrancheExampleGen", "StatisticsGen", "Transform", "Trainer", "Evaluator")
    states = {name: ended.states[name] for name in before}
    assert states == dict.fromkeys(before, "cached"), ended.text
