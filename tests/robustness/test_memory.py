"""Runs that are short of memory say so, and go on where they were once they have more."""

from pathlib import Path

import pytest

from tests.robustness.conftest import Tried
from tests.support.running import ANEW, SETTINGS, Command, Ended, plain

# Bytes of a process's own: too few for the imports, too few for training.
LIMITS = (400 * 2**20, 1200 * 2**20)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_too_little_address_space_ends_a_run(tranches: Path, tmp_path: Path, tried: Tried) -> None:
    """Beam has started servers by then, which would keep the process for ever."""
    short = Command(tmp_path, "prlimit", f"--as={1100 * 2**20}")
    ended = short.run(tmp_path / "out", "--data-root", str(tranches), **SETTINGS)
    assert ended.status == 1, ended.text
    assert "Memory was short" in plain(ended.text) and "Traceback" not in ended.text
    assert not list((tmp_path / "out" / "data" / "tfrecords").glob("[0-9]*"))
    tried("runs")


@pytest.mark.robustness_full
@pytest.mark.timeout(2400)
def test_a_run_short_of_memory_says_so_and_goes_on_with_more(
    whole_run: Ended,
    command: Command,
    tranches: Path,
    tmp_path: Path,
    tried: Tried,
) -> None:
    out = tmp_path / "out"
    finished: set[str] = set()
    for limit in LIMITS:
        short = Command(tmp_path, "prlimit", f"--data={limit}")
        ended = short.run(out, "--data-root", str(tranches), **SETTINGS)
        text = plain(ended.text)
        assert ended.status == 1, text
        assert "Memory was short" in text or "ends it when memory is short" in text, text
        assert "Traceback" not in text
        assert not list((out / "serving").rglob("saved_model.pb"))
        assert finished & ended.ran <= ANEW
        finished |= ended.ran
        tried("runs short of memory")
    ended = command.run(out, "--data-root", str(tranches), **SETTINGS)
    ended.assert_as_good_as(whole_run)
    assert finished & ended.ran <= ANEW, "what was finished was done again"
