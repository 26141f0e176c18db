"""Checklists that a quality file is read by: what is asked, and where the dossier answers it.

They are TOML files in checklists/, in words of this project. An answer is a place: `FILE#HEADING`
of the dossier, or `docs/FILE` of the project with or without a heading, each as links write it.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

BLANKS_FILE: Final = "TO_FILL_IN.md"
DOCS: Final = "docs/"  # answers that begin so are in the project, not in the dossier

_FOLDER: Final = Path(__file__).with_name("checklists")
_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True)
_HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


class Blank(BaseModel):
    """What only the clinic can say.

    Attributes:
      key: the checklists name it so.
      title: its heading.
      asks: what to write there.
      chai: the elements of the CHAI model card that wait for it.
    """

    model_config = _STRICT

    key: str
    title: str
    asks: str
    chai: list[str] = []


class Item(BaseModel):
    """One question of a checklist.

    Attributes:
      number: as the checklist has it; several items may share one.
      asks: what is asked, shortened.
      answers: places that answer it.
      clinic: keys of the blanks that have to be filled in to answer it.
      says: the answer, or what the pipeline cannot say, where a sentence is enough.
    """

    model_config = _STRICT

    number: str
    asks: str
    answers: list[str] = []
    clinic: list[str] = []
    says: str = ""


class Checklist(BaseModel):
    """A checklist.

    Attributes:
      title: its heading.
      file: its name in the dossier.
      short: what other files call it.
      source: the publication that it is from.
      note: how to read it.
      items: in the publication's order.
    """

    model_config = _STRICT

    title: str
    file: str
    short: str
    source: str
    note: str
    items: list[Item]

    @property
    def open(self) -> int:
        """How many items wait for the clinic."""
        return sum(bool(item.clinic) for item in self.items)


@cache
def checklists() -> tuple[Checklist, ...]:
    """All checklists, in the order of the README."""
    return tuple(
        Checklist.model_validate(_read(name))
        for name in ("pccp.toml", "tripod_ai.toml", "claim.toml")
    )


@cache
def blanks() -> Mapping[str, Blank]:
    """What only the clinic can say, by key."""
    return {entry["key"]: Blank.model_validate(entry) for entry in _read("clinic.toml")["blanks"]}


def asked_by(blank: Blank) -> str:
    """Says which items wait for a blank: `PCCP 1; TRIPOD+AI 5a, 6a; CHAI FundingSource`."""
    found = {
        each.short: dict.fromkeys(item.number for item in each.items if blank.key in item.clinic)
        for each in checklists()
    }
    named = {**found, "CHAI": dict.fromkeys(blank.chai)}
    return "; ".join(f"{short} {', '.join(numbers)}" for short, numbers in named.items() if numbers)


def headings(texts: Mapping[str, str]) -> dict[str, str]:
    """The headings of Markdown files by place, `FILE#HEADING`.

    Args:
      texts: content of the files by name.
    """
    return {
        f"{name}#{anchor(heading)}": heading
        for name, text in texts.items()
        for heading in _HEADING.findall(text)
    }


def anchor(heading: str) -> str:
    """What a link to a heading ends in, as GitHub and most viewers have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def where(item: Item, found: Mapping[str, str]) -> str:
    """Says in Markdown where an item is answered.

    Args:
      item: of a checklist.
      found: the headings of the dossier, see `headings`.
    """
    here = [place for place in item.answers if place in found]
    docs = [place for place in item.answers if place.startswith(DOCS)]
    gone = [place for place in item.answers if place not in (*here, *docs)]
    titles = [blanks()[key].title for key in item.clinic]
    parts = {
        "": [f"[{_file(place)}: {found[place]}]({place})" for place in here],
        "Documents of the pipeline: ": [f"`{place}`" for place in docs],
        "Not in this run (README.md says why): ": [f"`{place}`" for place in gone],
        "**To be filled in:** ": [f"[{title}]({BLANKS_FILE}#{anchor(title)})" for title in titles],
    }
    told = [f"{start}{', '.join(links)}." for start, links in parts.items() if links]
    return " ".join(filter(None, [item.says, *told]))


def _file(place: str) -> str:
    return place.partition("#")[0]


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))
