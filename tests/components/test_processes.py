"""What the project's processes do first."""

import subprocess
import sys
from pathlib import Path

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
            timeout=120,
        )
    assert done.returncode == 0
    assert "division by zero" in said.read_text()
