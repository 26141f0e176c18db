"""Every item of a checklist leads to something that is there, or says that it is not."""

import re

import pytest

from pipeline.dossier import checklists
from pipeline.dossier.checklists import Blank, Checklist, Item
from pipeline.dossier.contents import contents
from tests.pipeline.dossier import sample
from tests.support.documents import ROOT

LISTS = pytest.mark.parametrize("checklist", checklists.checklists(), ids=lambda each: each.short)


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """The headings of a whole dossier, and of the project's documents."""
    documents = {f"docs/{path.name}": path.read_text() for path in (ROOT / "docs").glob("*.md")}
    whole = contents(sample.whole_run(), sample.review())
    return dict.fromkeys(documents, "") | checklists.headings(documents | whole)


@LISTS
def test_every_answer_is_there(checklist: Checklist, found: dict[str, str]) -> None:
    places = {place for item in checklist.items for place in item.answers}
    assert sorted(place for place in places if place not in found) == []


@LISTS
def test_every_item_is_answered_or_waits_for_the_clinic(checklist: Checklist) -> None:
    assert [i.number for i in checklist.items if not (i.answers or i.clinic or i.says)] == []
    asked = {key for item in checklist.items for key in item.clinic}
    assert asked <= set(checklists.blanks())


def test_numbers_are_those_of_the_publications() -> None:
    pccp, tripod, claim = (
        [item.number for item in checklist.items] for checklist in checklists.checklists()
    )
    assert claim == [str(number) for number in range(1, 45)]
    letters = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef"}
    letters |= {20: "abc", 23: "ab", 27: "abc"}
    assert tripod == [f"{n}{letter}" for n in range(1, 28) for letter in letters.get(n, [""])]
    assert len(tripod) == 52
    form = re.compile(r"[1-4](\.[a-d](\.\d)?)?|VII\.B\(3\)|App\. B\(1\)")
    assert [number for number in pccp if not form.fullmatch(number)] == []


@pytest.mark.parametrize("blank", checklists.blanks().values(), ids=lambda each: each.key)
def test_every_blank_is_asked_for(blank: Blank) -> None:
    assert re.match(r"(PCCP|TRIPOD\+AI|CLAIM|CHAI) \w", checklists.asked_by(blank))


def test_who_asks_is_named_once() -> None:
    blank = checklists.blanks()["labellers"]
    assert checklists.asked_by(blank) == "PCCP 1; TRIPOD+AI 8a, 8b, 8c; CLAIM 14, 15, 16, 17"


def test_an_answer_is_a_link_and_what_is_missing_is_said() -> None:
    item = Item(
        number="7",
        asks="Everything.",
        says="A sentence.",
        answers=["a.md#one", "docs/b.md#two", "c.md#three"],
        clinic=["sites", "dates"],
    )
    assert checklists.where(item, {"a.md#one": "One"}) == (
        "A sentence. [a.md: One](a.md#one). Documents of the pipeline: `docs/b.md#two`."
        " Not in this run (README.md says why): `c.md#three`."
        " **To be filled in:** [Sites](TO_FILL_IN.md#sites),"
        " [Dates of recording](TO_FILL_IN.md#dates-of-recording)."
    )


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Recall by posture", "recall-by-posture"),
        ("2 Slices", "2-slices"),
        ("One image's bytes, from the zip", "one-images-bytes-from-the-zip"),
        ("Near-duplicates", "near-duplicates"),
    ],
)
def test_links_end_as_viewers_have_them(heading: str, anchor: str) -> None:
    assert checklists.headings({"a.md": f"text\n\n## {heading}\n"}) == {f"a.md#{anchor}": heading}


def test_titles_of_blanks_lead_to_one_place() -> None:
    titles = [checklists.anchor(blank.title) for blank in checklists.blanks().values()]
    assert len(set(titles)) == len(titles)
