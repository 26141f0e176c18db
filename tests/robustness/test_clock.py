"""The clock is set back between runs: nothing is lost or mixed up, and the newest model serves."""

import shutil
from pathlib import Path

import pytest

from pipeline.runs.reader import Runs
from tests.robustness.conftest import Tried
from tests.support.missing import missing
from tests.support.running import ANEW, LENIENT, SETTINGS, Command, Ended

# Long ago, and the same second for both runs.
SET_BACK = "@2026-01-02 03:04:05"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_clock_that_was_set_back_changes_nothing_but_times(
    rerunnable: Ended, tranches: Path, tmp_path: Path, tried: Tried
) -> None:
    if shutil.which("faketime") is None:
        missing("there is no faketime to set a process's clock (Debian: apt install faketime)")
    first = rerunnable
    assert first.status == 0, first.text
    early = Command(tmp_path, "env", "NO_FAKE_STAT=1", "faketime", "-f", SET_BACK)
    more = SETTINGS | {"scratch_epochs": 3, "acceptance": LENIENT}
    new, again = [early.run(first.out, "--data-root", str(tranches), **more) for _ in range(2)]

    # The cache knows what was made in what is now the future, and what has changed since.
    again.assert_as_good_as(new)
    assert "TrancheExampleGen" not in new.ran and "Trainer" in new.ran
    assert again.ran == ANEW
    assert new.splits == first.splits

    # The newest model is in service.
    served = [int(path.name) for path in (first.out / "serving/posture").iterdir()]
    pushed = [int(Path(run.record["paths"]["pushed"]).name) for run in (first, new, again)]
    assert pushed[0] < pushed[1] == pushed[2] == max(served)

    # Each run has its name, its log and its place in the order.
    names = [run.record["run_id"] for run in (first, new, again)]
    logs = {run.record["paths"]["log"] for run in (first, new, again)}
    assert len(logs) == 3 and all(Path(log).stat().st_size for log in logs)
    runs = Runs(first.out)
    assert [name for name in runs.ids() if name in names] == names
    assert runs.last() == again.record["run_id"]
    assert runs.read(names[1]).snapshot.started < runs.read(names[0]).snapshot.started
    tried("runs", 2)
