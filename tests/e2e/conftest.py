"""Fixtures of the whole runs."""

import pytest

from tests.e2e.running import Command


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command line."""
    return Command(tmp_path_factory.mktemp("settings"))
