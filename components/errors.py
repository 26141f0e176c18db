"""The errors that are a user's to mend; everything else is a bug and keeps its traceback."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is shown alone, without a traceback: one sentence that says what
    is wrong, where (file and row, or setting), and what to do.
    """


class DataError(InputError):
    """A label table or image archive breaks the contract on the data."""
