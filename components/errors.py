"""Errors that a user can fix, one sentence each; all others are bugs and keep their traceback."""

import re
from typing import Final

# How Python, C++, the dynamic linker, TensorFlow and the kernel report a lack of memory.
_SHORT_OF_MEMORY: Final = re.compile(
    r"MemoryError|bad_alloc|[Cc]annot allocate memory|Unable to allocate|can't start new thread"
    r"|failed to map segment|pthread_create failed|ResourceExhaustedError|OOM when allocating"
)


def memory_was_short(words: str) -> str:
    """Explains an error message in a sentence, if it reports a lack of memory.

    Args:
      words: the text of an exception, or a line of a log.

    Returns:
      The sentence, or an empty string.
    """
    if not _SHORT_OF_MEMORY.search(words):
        return ""
    return (
        f"Memory was short ({words}); with more memory, the same command continues after the"
        " finished steps."
    )


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is shown without a traceback: one sentence that says what is wrong, where (file
    and row, or setting), and what to do.
    """


class DataError(InputError):
    """A label table or image archive breaks the data contract."""
