"""What an acceptance plan is: its settings, its test clips, and what those can prove."""

import hashlib
import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from components.judging.acceptance import Acceptance
from schema.slices import SliceKey

_FILE_NAME: Final = "plan.json"
_FROZEN: Final = ConfigDict(frozen=True)


class Provable(BaseModel):
    """What the clips of a slice can prove; see `components.judging.power`.

    Attributes:
      place: the slice.
      images: of the test split.
      clips: that they are from.
      margin: the smallest loss that a model as good as the other is shown to stay within, with a
        probability of 80 %.
    """

    model_config = _FROZEN

    place: SliceKey
    images: int
    clips: int
    margin: float


class Plan(BaseModel):
    """A plan as it was published before training.

    Attributes:
      acceptance: the settings.
      test_clips: by tranche, SHA-256 of the names, clips and labels of its test images.
      provable: all test images first, then by tranche, posture and both.
    """

    model_config = _FROZEN

    acceptance: Acceptance
    test_clips: dict[str, str]
    provable: list[Provable]

    @property
    def sentence(self) -> str:
        """Says what the test clips can prove."""
        overall, *parts = self.provable
        worst = max((part.margin for part in parts if len(part.place) == 1), default=overall.margin)
        return (
            f"The {overall.clips:,} test clips can prove a loss to be below"
            f" {overall.margin * 100:.1f} points overall, and {worst * 100:.1f} points in each"
            " tranche and posture (for equal models, in 80 % of cases)."
        )

    @property
    def sha256(self) -> str:
        """Of what decides: the settings and the test clips."""
        content = json.dumps(
            self.model_dump(mode="json", include={"acceptance", "test_clips"}), sort_keys=True
        )
        return hashlib.sha256(content.encode()).hexdigest()


def write(plan: Plan, folder: Path) -> None:
    """Writes a plan into the folder of its artifact."""
    (folder / _FILE_NAME).write_text(plan.model_dump_json(indent=2), encoding="utf-8")


def read(folder: Path) -> Plan:
    """Reads the plan in the folder of an artifact."""
    return Plan.model_validate_json((folder / _FILE_NAME).read_bytes())
