"""Names of images are found whole, in whatever file and spelling, and nothing else is."""

import csv
import gzip
import html
import io
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from google.protobuf import text_encoding
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runs import names
from pipeline.runs.names import MARK, PURGED, Names

FRAME = f"{MARK}001.png"
CLIP = "Zoë & \"x\" 'y' room=1"

# Any text that a clip may be called.
CLIPS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1
).filter(lambda clip: MARK not in clip and not clip.endswith(MARK[:4]))


def row(name: str) -> str:
    """A line of CSV."""
    written = io.StringIO()
    csv.writer(written).writerow([name])
    return written.getvalue()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "HTML": html.escape,
    "Markdown": lambda name: html.escape(name, quote=False),
    "JSON": json.dumps,
    "JSON in Unicode": lambda name: json.dumps(name, ensure_ascii=False),
    "CSV": row,
    "URL": quote,
    "query": lambda name: f"?image={quote(name, safe='')}",
    "protocol buffer": lambda name: text_encoding.CEscape(name.encode(), as_utf8=False),
    "decomposed": lambda name: name.replace("ë", "e\u0308"),
    "path": lambda name: f"/data/images/tranch1/{name}",
    "line in JSON": lambda name: json.dumps(f"no image\n{name}\tis there"),
    "quoted in JSON": lambda name: json.dumps(f"no image \u201c{name}\u201d"),
    "sentence": lambda name: f"Lost is {name}.",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_is_found_and_removed(spell: Callable[[str], str], tmp_path: Path) -> None:
    wanted = Names([CLIP + MARK], [])
    text = spell(CLIP + FRAME)
    without = wanted.without(text)
    assert PURGED.decode() in without and "001" not in without and "room" not in without
    (tmp_path / "log.txt").write_text(f"before\n{text}\nafter")
    assert wanted.in_file(tmp_path / "log.txt")


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize(
    "other",
    ["b{}", "_{}", "my-{}", "a.{}", "ö{}", "big {}", "{}0", "{}b", "{}-2", "{} b", "{}_cat-1_2"],
)
def test_a_longer_name_is_another_one(spell: Callable[[str], str], other: str) -> None:
    longer = other.format("room1")
    text = spell(longer + FRAME)
    assert Names(["room1" + MARK], [longer + MARK]).without(text) == text
    assert Names([f"room1{FRAME}"], [longer + FRAME]).without(text) == text  # of a tranche


@pytest.mark.parametrize("other", ["b{}", "_{}", "my-{}", "a.{}", "ö{}", "{}0", "{}b", "{}-2"])
def test_so_is_one_that_nobody_knows(other: str) -> None:
    text = f"Lost is {other.format('room1')}{FRAME}."
    assert Names(["room1" + MARK], []).without(text) == text


@given(CLIPS, CLIPS, st.sampled_from(sorted(SPELLINGS)))
def test_any_two_clips(one: str, other: str, spelling: str) -> None:
    both = SPELLINGS[spelling](f"{one}{FRAME} {other}{MARK}7.jpg")
    kept = Names([one + MARK], [other + MARK]).without(both)
    assert Names([one + MARK], [other + MARK]).without(kept) == kept
    if spelling == "plain" and one != other and not other.endswith(one):
        assert f"{other}{MARK}7.jpg" in kept


@given(st.text(max_size=300), CLIPS)
def test_a_text_without_names_stays_as_it_is(text: str, clip: str) -> None:
    if clip + MARK not in text:
        assert Names([clip + MARK], []).without(text) == text


def test_other_files_of_a_tranche_are_whole_names_too() -> None:
    wanted = Names(["notes.pdf", "Jane Doe.pdf"], ["old notes.pdf"])
    text = "notes.pdf, my notes.pdf, old notes.pdf, notes.pdfs, Jane Doe.pdf."
    assert wanted.without(text) == "(purged), my (purged), old notes.pdf, notes.pdfs, (purged)."


def test_a_length_before_a_name_is_none_of_its_letters(tmp_path: Path) -> None:
    """Protocol buffers have the length in bytes there, which is a letter for a name of 65."""
    clip = "x" * (65 - len(FRAME))
    (tmp_path / "stats.pb").write_bytes(b"\n" + bytes([65]) + (clip + FRAME).encode())
    assert Names([clip + MARK], []).in_file(tmp_path / "stats.pb")


def test_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_BLOCK", 64)  # so that names lie across blocks
    wanted = Names(["room1" + MARK], ["bedroom1" + MARK])
    for number, clip in enumerate(("room1", "bedroom1")):
        text = f"{'-' * 41} {clip}{FRAME}"
        plain, packed = tmp_path / f"{number}.log", tmp_path / f"{number}.log.gz"
        table, link = tmp_path / f"{number}.parquet", tmp_path / f"{clip}{FRAME}"
        plain.write_text(text)
        packed.write_bytes(gzip.compress(text.encode()))
        pd.DataFrame({"file_name": [f"{clip}{FRAME}"] * 999, "x": 1.0}).to_parquet(table)
        link.touch()
        for path in (plain, packed, table, link):
            assert wanted.in_file(path) == (clip == "room1"), path
    for name in ("cut.gz", "cut.parquet"):
        (tmp_path / name).write_bytes((tmp_path / "0.log.gz").read_bytes()[:-9])
        assert wanted.in_file(tmp_path / name), "nobody can say that it is not in there"
