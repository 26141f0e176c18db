"""A finding: one thing to say about the data or the model, in a sentence."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Something wrong, or worth a look; a blocking finding stops the run."""

    severity: Literal["blocking", "warning"]
    sentence: str
