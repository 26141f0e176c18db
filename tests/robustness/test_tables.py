"""Label tables from anywhere: read to the letter, or refused with file, row and what to do."""

import csv
import io
import json
import shutil
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.ingest.labels import LABEL_COLUMNS, LabelRow, TableProblems, read_labels
from components.ingest.master import build_master
from components.ingest.spreadsheet import harmless, original
from components.ingest.staging import stage
from schema import features
from tests.robustness.conftest import Tried

HEADER = ("file_name", *LABEL_COLUMNS)
Row = tuple[str, ...]

LETTERS = st.characters(
    exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters='/\\"\u0085\ufeff'
)
# What a reader may take for something else than text stands among them.
WORDS = (
    "NA",
    "N/A"[:1],
    "nan",
    "NULL",
    "None",
    "-inf",
    "TRUE",
    "1e5",
    "007",
    "#REF!",
    "=1+1",
    "'a",
)
CLIPS = (
    st.one_of(st.sampled_from(WORDS), st.text(LETTERS, min_size=1, max_size=20))
    .map(partial(unicodedata.normalize, "NFC"))  # as all names are read
    .filter(lambda clip: clip == clip.strip() and "://" not in clip)
)
VALUES = st.tuples(*(st.sampled_from(["", *features.LABEL_VALUES[name]]) for name in LABEL_COLUMNS))
ROWS = st.lists(st.tuples(CLIPS, VALUES), min_size=1, max_size=6).map(
    lambda rows: [(f"{clip}_cat-1_{n:03}.png", *values) for n, (clip, values) in enumerate(rows)]
)

many = settings(
    derandomize=True,
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def text(rows: list[Row], header: Row = HEADER, delimiter: str = ",", quoting: int = 0) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def read(table: Path) -> list[LabelRow]:
    with TableProblems(table) as problems:
        return list(read_labels(table, problems))


def refused(table: Path) -> str:
    """The message, which names the table and never is a traceback in disguise."""
    with pytest.raises(DataError) as caught:
        read(table)
    message = str(caught.value)
    for line in message.splitlines():
        assert line.startswith(str(table)) or line.startswith("(Only the first")
    return message


@many
@given(
    rows=ROWS,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "latin-1"]),
)
def test_encodings(tmp_path: Path, tried: Tried, rows: list[Row], encoding: str) -> None:
    table = tmp_path / "tranch1_labels.csv"
    content = text(rows)
    table.write_bytes(content.encode(encoding, "replace" if encoding == "latin-1" else "strict"))
    readable = encoding in ("utf-8", "utf-8-sig")
    if readable or (encoding == "latin-1" and table.read_bytes().isascii()):
        if encoding == "latin-1":
            content = table.read_bytes().decode()
        found = read(table)
        expected = list(csv.reader(io.StringIO(content)))[1:]
        assert [[label.file_name, *label.values] for label in found] == expected
        tried("read")
        return
    message = refused(table)
    assert "not UTF-8" in message
    assert "row" in message
    tried("refused")


@many
@given(rows=ROWS, delimiter=st.sampled_from(";\t|:"), quoting=st.sampled_from([0, 1]))
def test_other_separators(
    tmp_path: Path, tried: Tried, rows: list[Row], delimiter: str, quoting: int
) -> None:
    table = tmp_path / "tranch1_labels.csv"
    table.write_text(text(rows, delimiter=delimiter, quoting=quoting), encoding="utf-8")
    message = refused(table)
    assert "commas" in message
    if quoting == csv.QUOTE_MINIMAL:
        assert ("not semicolons or tabs" in message) == (delimiter in ";\t")
    tried("refused")


@many
@given(rows=ROWS, data=st.data())
def test_columns(tmp_path: Path, tried: Tried, rows: list[Row], data: st.DataObject) -> None:
    """Left out, doubled, added, in any order."""
    table = tmp_path / "tranch1_labels.csv"
    order = data.draw(st.permutations(range(len(HEADER))))
    left_out = data.draw(st.sampled_from([None, *HEADER]))
    doubled = data.draw(st.sampled_from([None, *HEADER]))
    added = data.draw(st.integers(0, 3))
    places = [place for place in order if HEADER[place] != left_out]
    places += [place for place in places if HEADER[place] == doubled]

    def arrange(cells: Row, extra: str) -> Row:
        return (*(cells[place] for place in places), *(f"{extra}{n}" for n in range(added)))

    content = text([arrange(row, "=note") for row in rows], arrange(HEADER, "note"))
    table.write_text(content, encoding="utf-8")
    if left_out not in (None, features.EXCEPTION_CASE):
        assert f"missing column {left_out}" in refused(table).replace(" or final_url", "") or (
            doubled != left_out and "twice" in refused(table)
        )
        tried("refused for a missing column")
    elif doubled not in (None, left_out):
        assert f"the column {doubled} appears twice" in refused(table)
        tried("refused for a doubled column")
    else:
        assert [label.file_name for label in read(table)] == [row[0] for row in rows]
        tried("read")


@many
@given(
    rows=ROWS,
    blank=st.lists(st.sampled_from(["", " ", ",,,,,", "  , ,,,,", '"",,,,,']), max_size=4),
    place=st.integers(1, 6),
)
def test_blank_lines(
    tmp_path: Path, tried: Tried, rows: list[Row], blank: list[str], place: int
) -> None:
    lines = text(rows).splitlines()
    place = min(place, len(lines))
    table = tmp_path / "tranch1_labels.csv"
    table.write_text("\r\n".join([*lines[:place], *blank, *lines[place:], ""]), encoding="utf-8")
    found = read(table)
    assert [(label.file_name, *label.values) for label in found] == rows
    # As a spreadsheet numbers them.
    expected = [n if n <= place else n + len(blank) for n in range(2, len(rows) + 2)]
    assert [label.row for label in found] == expected
    tried("read")


@many
@given(value=st.text(LETTERS, max_size=12), column=st.sampled_from(LABEL_COLUMNS))
def test_values_that_are_no_labels(tmp_path: Path, tried: Tried, value: str, column: str) -> None:
    value = value.strip()
    table = tmp_path / "tranch1_labels.csv"
    cells = tuple(value if name == column else "" for name in LABEL_COLUMNS)
    table.write_text(text([("a_cat-1_1.png", *cells)]), encoding="utf-8")
    if value in ("", *features.LABEL_VALUES[column]):
        assert read(table)[0].values == cells
        tried("labels")
        return
    message = refused(table)
    assert f"{table}, row 2: {column} is {value!r}; allowed are" in message
    assert all(allowed in message for allowed in features.LABEL_VALUES[column])
    tried("refused")


@pytest.mark.parametrize("word", ["NA", "N/A", "nan", "NaN", "NULL", "null", "", "None", "none"])
def test_words_that_others_take_for_missing(tmp_path: Path, tried: Tried, word: str) -> None:
    table = tmp_path / "tranch1_labels.csv"
    table.write_text(text([("a_cat-1_1.png", word, "", "", "", "")]), encoding="utf-8")
    if word in ("", "None"):
        assert read(table)[0].values[0] == word  # blank and `None` are two things
    else:
        assert f"how_many is {word!r}" in refused(table)
    tried("words")


@many
@given(rows=ROWS, again=st.integers(0, 5), change=st.booleans())
def test_rows_that_are_there_twice(
    tmp_path: Path, tried: Tried, rows: list[Row], again: int, change: bool
) -> None:
    """The same or contradicting: one of them has to go, and nobody guesses which."""
    root = tmp_path / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    again %= len(rows)
    second = list(rows[again])
    if change:
        second[2] = "Lying" if second[2] != "Lying" else "Standing"
    table = root / "tranch1_labels.csv"
    table.write_text(text([*rows, tuple(second)]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        build_master(root, tmp_path / "out", labels_only=True)
    expected = f"{table}, row {len(rows) + 2}: the image {rows[again][0]!r} is already in row"
    assert str(caught.value) == (
        f"{expected} {again + 2} of {table.name}; keep one of the two rows."
    )
    assert not list((tmp_path / "out").glob("*.csv"))
    tried("refused")


# -- Formulas -----------------------------------------------------------------------------

LEADS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001 (full-width, as meant)
CELLS = st.one_of(
    st.text(max_size=10),
    st.tuples(st.sampled_from(["", "'", "''"]), st.sampled_from(LEADS), st.text(max_size=8)).map(
        "".join
    ),
)


@settings(max_examples=500)
@given(cells=st.lists(CELLS, max_size=6))
def test_harmless_cells_can_be_read_back(cells: list[str]) -> None:
    written = harmless(cells)
    assert not any(str(cell).startswith(tuple(LEADS)) for cell in written)
    assert original(map(str, written)) == cells


@settings(
    derandomize=True,
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    clips=st.lists(
        st.tuples(st.sampled_from("=+-@'＝a"), st.sampled_from(["cmd|' /C calc'!A0", "1+1", "x"])),  # noqa: RUF001
        min_size=3,
        max_size=8,
        unique=True,
    )
)
def test_formulas_are_text_in_every_table(
    tmp_path: Path, tried: Tried, clips: list[tuple[str, str]]
) -> None:
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    root, out = tmp_path / "case" / "root", tmp_path / "case" / "out"
    folder = root / "home"
    folder.mkdir(parents=True)
    names = [f"{lead}{rest.replace('/', '')}_cat-1_{n}.png" for n, (lead, rest) in enumerate(clips)]
    for name in names[:-1]:  # the last label has no image
        (folder / name).write_bytes(b"no picture")
    (folder / "=unlabelled_cat-1_1.png").touch()
    (folder / "@note.txt").touch()
    rows = [(name, "None", "Lying", "No", "Staff", "Bad Image") for name in names]
    (root / "tranch1_labels.csv").write_text(text(rows), encoding="utf-8")
    report = build_master(root, out)
    for table in (report.master, report.rejects, report.contradictory_rows):
        with table.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert len(cells) > 10
        assert not any(cell.startswith(tuple(LEADS)) for cell in cells), table
        tried("cells", len(cells))
    # And yet the names are what they were.
    (out / "staging").mkdir()
    staged = stage(report.master, out / "staging", None)["1"]
    place = features.MASTER_COLUMNS.index(features.FILE_NAME)
    found = [row[place] for row in _rows(staged.shards()[0].rows)]
    assert sorted(found) == sorted(names[:-1])


def _rows(path: Path) -> list[list[str]]:
    return json.loads(path.read_bytes())


def test_the_tfrecords_rejects_hold_no_formula(tmp_path: Path, tried: Tried) -> None:
    from components.ingest import tfrecords

    folder = tmp_path / "root" / "home"
    folder.mkdir(parents=True)
    names = [f"{lead}1+1_cat-1_1.png" for lead in "=+-@"]
    for name in names:
        (folder / name).write_bytes(b"no picture")
    rows = [(name, "One", "Lying", "No", "Staff", "No") for name in names]
    (tmp_path / "root" / "tranch1_labels.csv").write_text(text(rows), encoding="utf-8")
    report = build_master(tmp_path / "root", tmp_path / "out")
    out = tmp_path / "out" / "tfrecords"
    with pytest.raises(DataError, match="None of the pictures"):
        tfrecords.write_tfrecords(report.master, out, size=64)
    with (out / "1" / "rejects.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if "1+1_cat" in cell][::2] == [
        f"'{name}" for name in sorted(names)
    ]
    assert not any(cell.startswith(tuple(LEADS)) for cell in cells)
    tried("cells", len(cells))
