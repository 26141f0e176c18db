"""What becomes of a test that lacks something which not every machine has."""

import os
from typing import NoReturn

import pytest


def missing(message: str) -> NoReturn:
    """Skips the test; fails it in CI (`CI` in the environment), which has or installs it."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
