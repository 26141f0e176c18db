"""Pictures of patients, and what is made from them, are for their owner's eyes alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def owner_only() -> Iterator[None]:
    """Files and folders made in here can be read by their owner only."""
    former = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(former)
