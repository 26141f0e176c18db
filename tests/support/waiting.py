"""Waits for what another process does."""

import time
from collections.abc import Callable


def wait_for(holds: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Waits until something holds.

    Args:
      holds: says whether it does.
      what: the same in words, for the error.
      seconds: far more than it ever takes, also on a busy machine.

    Raises:
      TimeoutError: it did not hold in that time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
