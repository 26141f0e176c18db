"""Fixtures of the whole runs."""

from pathlib import Path

import pytest

from components.tranches.demo import draw_tranches
from tests.e2e.running import SETTINGS, Command, Ended


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command line."""
    return Command(tmp_path_factory.mktemp("settings"))


@pytest.fixture(scope="session")
def tranches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small drawn tranches."""
    folder = tmp_path_factory.mktemp("tranches")
    draw_tranches(folder, clips=120, seed=3)
    return folder


@pytest.fixture(scope="session")
def first(command: Command, tranches: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A whole run on them; other tests run again on its output folder."""
    out = tmp_path_factory.mktemp("out")
    return command.run(out, "--data-root", str(tranches), **SETTINGS)
