"""Settings that other programs read: texts of a form that those programs know."""

import re

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def form(pattern: str, words: str) -> BeforeValidator:
    """Takes a text of one form only, for `typing.Annotated`.

    Args:
      pattern: of the whole text, a regular expression.
      words: what the user reads after "should be".
    """

    def check(value: object) -> object:
        if not isinstance(value, str) or re.fullmatch(pattern, value, re.ASCII) is None:
            raise PydanticCustomError("form", f"should be {words}")
        return value

    return BeforeValidator(check)
