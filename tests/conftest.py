"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real label tables, photos, weights and odd images: `../shared/data` from the root.

    They are no part of the repository. Without them the test is skipped, except
    in CI (`CI` set in the environment), where their absence is a failure.
    """
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if folder.is_dir():
        return folder
    message = f"the real data are not there: expected the folder {folder}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
