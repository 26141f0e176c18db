"""What is a user's to mend, in sentences; everything else is a bug and keeps its traceback."""

import re
from typing import Final

# What Python, C++, the dynamic linker, TensorFlow and the kernel say when memory is short.
_SHORT_OF_MEMORY: Final = re.compile(
    r"MemoryError|bad_alloc|Cannot allocate memory|Unable to allocate|can't start new thread"
    r"|failed to map segment|pthread_create failed|ResourceExhaustedError|OOM when allocating"
)


def memory_was_short(words: str) -> str:
    """Says in a sentence that memory was short, if that is what somebody else's words say.

    Args:
      words: of an exception, or a line of a log.

    Returns:
      The sentence, or nothing.
    """
    if not _SHORT_OF_MEMORY.search(words):
        return ""
    return (
        f"Memory was short ({words}); with more of it the same command goes on from the finished"
        " steps."
    )


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is shown alone, without a traceback: one sentence that says what
    is wrong, where (file and row, or setting), and what to do.
    """


class DataError(InputError):
    """A label table or image archive breaks the contract on the data."""
