"""Every figure that a document marks is the one in benchmarks/figures.json."""

import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import figures
from pipeline.runs import record
from pipeline.runs.run import Counts, SliceMetrics
from tests.support import documents

# Comments of other kinds have a blank after the dashes.
MARK: Final = re.compile(r"<!--(\S[^>]*)-->")
NUMBER: Final = re.compile(r"(?P<minutes>\d+) min (?P<seconds>\d+) s|\d+(?:,\d{3})*(?:\.(\d+))?")
CODE: Final = re.compile(r"`[^`]*`")
WITH_TABLES_OF_FIGURES: Final = ("README.md", "docs/benchmarks.md")


def lookup(records: dict[str, Any], key: str) -> list[float]:
    """The numbers that a mark covers, in order."""
    name, *path = key.split(".")
    found = reduce(lambda group, part: group[part], path, records[name]["figures"])
    return list(_flat(found))


def _flat(found: Any) -> Iterator[float]:
    if isinstance(found, dict):
        for value in found.values():
            yield from _flat(value)
    else:
        yield found


def as_shown(value: float, like: re.Match[str]) -> str:
    """A number in the form of one in a document: as many decimals, or minutes and seconds."""
    if like["minutes"]:
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} min {seconds} s"
    return f"{value:,.{len(like[3] or '')}f}"


def check(line: str, records: dict[str, Any]) -> tuple[list[str], str]:
    """Compares the marked numbers of a line.

    Returns:
      What is wrong, and the line without marks and the numbers that they cover.
    """
    problems, rest, at = [], "", 0
    line = CODE.sub("", line)
    for mark in MARK.finditer(line):
        before, key = line[at : mark.start()], mark[1]
        at = mark.end()
        try:
            values = lookup(records, key)
        except (KeyError, TypeError):
            problems.append(f"figures.json has no {key}")
            continue
        numbers = list(NUMBER.finditer(before))[-len(values) :]
        shown = [number[0] for number in numbers]
        wanted = [as_shown(*pair) for pair in zip(values, numbers, strict=False)]
        if len(numbers) < len(values):
            problems.append(f"{key} has {len(values)} figures, {len(numbers)} stand before it")
        elif shown != wanted:
            problems.append(f"{key} is {', '.join(wanted)}, not {', '.join(shown)}")
        for number in reversed(numbers):
            before = before[: number.start()] + before[number.end() :]
        rest += before
    return problems, rest + line[at:]


def rows_of_figures(text: str) -> Iterator[str]:
    """The rows of the tables in the section "Figures", without headings."""
    section = re.search(r"^## Figures$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, "there is no section Figures"
    for table in re.findall(r"(?:^\|.*\n)+", section[1], re.MULTILINE):
        yield from table.splitlines()[2:]


@pytest.mark.parametrize("document", documents.DOCUMENTS, ids=documents.name)
def test_marked_figures_are_the_recorded_ones(document: Path) -> None:
    records = figures.read()
    lines = document.read_text(encoding="utf-8").splitlines()
    problems = [
        f"line {number}: {problem}"
        for number, line in enumerate(lines, start=1)
        for problem in check(line, records)[0]
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("document", WITH_TABLES_OF_FIGURES)
def test_tables_of_figures_have_no_unmarked_number(document: str) -> None:
    text = (documents.ROOT / document).read_text(encoding="utf-8")
    unmarked = []
    for row in rows_of_figures(text):
        _, rest = check(row, figures.read())
        cells = rest.strip("|").split("|")[1:]  # the first one says what was measured
        if any(re.search(r"\d", cell) for cell in cells):
            unmarked.append(row)
    assert not unmarked, "\n".join(unmarked)


RECORDS: Final = {
    "demo": {"figures": {"accuracy": 0.91789, "seconds": 339.4, "by_tranche": {"1": 1, "2": 0.5}}},
    "tests": {"figures": {"count": 1005}},
}


@pytest.mark.parametrize(
    "line",
    [
        "0.918<!--demo.accuracy-->, or 0.92<!--demo.accuracy-->",
        "in 5 min 39 s<!--demo.seconds-->",
        "| tranches 1 and 2 | 1.000 | 0.500<!--demo.by_tranche--> |",
        "1,005 tests<!--tests.count-->",
        "tranche 3 <!-- a remark -->",
    ],
)
def test_a_right_figure_passes(line: str) -> None:
    assert check(line, RECORDS)[0] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("0.917<!--demo.accuracy-->", "demo.accuracy is 0.918, not 0.917"),
        ("5 min 40 s<!--demo.seconds-->", "demo.seconds is 5 min 39 s, not 5 min 40 s"),
        ("1005<!--tests.count-->", "tests.count is 1,005, not 1005"),
        ("0.5<!--demo.by_tranche-->", "demo.by_tranche has 2 figures, 1 stand before it"),
        ("0.9<!--demo.recall-->", "figures.json has no demo.recall"),
        ("0.9<!--photos-->", "figures.json has no photos"),
    ],
)
def test_a_wrong_figure_is_named(line: str, problem: str) -> None:
    assert check(line, RECORDS)[0] == [problem]


def test_a_record_replaces_the_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.json")
    figures.FILE.write_text("{}")
    figures.record("demo", {"images": 476, "by_tranche": {"1": 2 / 3}}, "make run")
    figures.record("tests", {"count": 1005}, "make test")
    figures.record("demo", {"images": 500}, "make run")
    records = figures.read()
    assert {name: record["figures"] for name, record in records.items()} == {
        "demo": {"images": 500},
        "tests": {"count": 1005},
    }
    assert set(records["demo"]) == {"command", "date", "cores", "figures"}


def test_figures_can_be_given_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.json")
    figures.FILE.write_text("{}")
    figures.main(["set", "tests", "--command", "make test", "count=1005", "seconds=452.06"])
    assert figures.read()["tests"]["figures"] == {"count": 1005, "seconds": 452.06}


def test_figures_of_a_run_are_those_of_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.json")
    figures.FILE.write_text("{}")
    slices = {
        "overall": SliceMetrics(
            example_count=476, accuracy=0.9, accuracy_low=0.8, accuracy_high=0.95, coverage=0.7
        ),
        "tranche=2": SliceMetrics(example_count=200, accuracy=0.85),
        "tranche=10": SliceMetrics(example_count=276, accuracy=0.94),
        "tranche=2, primary_posture=Lying": SliceMetrics(example_count=20, accuracy=0.5),
    }
    content = record.Record(
        run_id="run",
        started="2026-11-28T08:00:00+00:00",
        verdict="pushed",
        demo=True,
        reasons=[],
        gates=[],
        findings=[],
        model=1,
        accuracy=0.9,
        metrics=slices,
        counts=Counts(),
        components=[],
        seconds=339.4,
        paths={},
    )
    record.write(content, tmp_path / "run.json")
    figures.main(["run", str(tmp_path), "--as", "demo"])
    assert figures.read()["demo"]["figures"] == {
        "accuracy": 0.9,
        "accuracy_interval": {"low": 0.8, "high": 0.95},
        "images": 476,
        "accuracy_by_tranche": {"2": 0.85, "10": 0.94},
        "coverage": 0.7,
        "seconds": 339.4,
    }
