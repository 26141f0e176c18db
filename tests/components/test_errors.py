"""Errors in words: memory that was short is told by what really runs out of it."""

import resource
import subprocess
import sys

import pytest

from components.errors import memory_was_short

# What takes memory without end, and what is said of it, by who says it.
HUNGRY = {
    "Python": "x = []\nwhile True: x.append(bytes(2**20))",
    "NumPy": "import numpy\nnumpy.ones(2**34)",
    "threads": "import threading, time\nwhile True:\n"
    "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
}


@pytest.mark.parametrize("hungry", HUNGRY)
def test_words_of_who_ran_out_of_memory_are_known(hungry: str) -> None:
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", HUNGRY[hungry]],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
        stderr=subprocess.PIPE,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert memory_was_short(last).startswith(f"Memory was short ({last}); ")


def test_other_words_are_left_alone() -> None:
    assert memory_was_short("ValueError: the memory of an elephant") == ""


def test_words_of_the_c_library_are_known() -> None:
    """It ends the process in the middle of any statement, where there is no exception."""
    last = "cannot allocate memory for thread-local data: ABORT"
    assert memory_was_short(last).startswith(f"Memory was short ({last}); ")
