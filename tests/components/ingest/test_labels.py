import csv
import gzip
import io
import re
import string
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.ingest.labels import (
    LABEL_COLUMNS,
    MAX_PROBLEMS,
    LabelRow,
    TableProblems,
    clip_of,
    read_labels,
)
from schema import features

NAME = "ward 3_cat-1_000.png"


def read(table: Path) -> list[LabelRow]:
    with TableProblems(table) as problems:
        return list(read_labels(table, problems))


def errors(table: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(table)
    return str(caught.value).splitlines()


# -- What is taken as it comes -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rows", "known", "first"),
    [
        ("tranch1_labels.csv", 16_922, 14_508, "cd7696cc-93bd-44d7-916f-1d7cd9379db7"),
        ("tranch2_labels.csv", 12_698, 11_590, None),
        ("tranch3_labels.csv", 11_167, 10_330, None),
    ],
)
def test_reads_the_real_tables_whole(
    shared_data: Path, name: str, rows: int, known: int, first: str | None
) -> None:
    labels = read(shared_data / "labels" / name)
    posture = LABEL_COLUMNS.index(features.POSTURE)
    assert len(labels) == rows
    assert [label.row for label in labels] == list(range(2, rows + 2))
    assert sum(label.values[posture] in features.POSTURES for label in labels) == known
    assert first in (None, labels[0].clip)


CLIPS = st.text(
    # Space-separated, bracketed, dotted and accented clips are in the real tables.
    st.sampled_from(string.ascii_letters + string.digits + " _-().+='\u2019,\";éß中"),
    min_size=1,
    max_size=30,
).filter(lambda clip: clip == clip.strip())
VALUES = st.tuples(*(st.sampled_from(["", *features.LABEL_VALUES[c]]) for c in LABEL_COLUMNS))
ROWS = st.lists(
    st.tuples(
        CLIPS, st.integers(0, 999), st.sampled_from(["png", "PNG", "jpg", "JPG", "jpeg"]), VALUES
    ),
    min_size=1,
    max_size=8,
)
# csv.writer quotes the line breaks of its own line end only, so lone ones are left to QUOTE_ALL.
EXTRA = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)


@settings(
    derandomize=True,
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=ROWS,
    extra=st.lists(EXTRA, min_size=8, max_size=8),
    order=st.permutations(range(len(LABEL_COLUMNS) + 2)),
    image_column=st.sampled_from(["file_name", "final_url"]),
    mark=st.sampled_from(["", "\ufeff", "\ufeff\ufeff", "\u200b", "\ufeff\u2060\u200e"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    padding=st.sampled_from(["", " ", "\t "]),
    blank_lines=st.integers(0, 3),
    start=st.sampled_from(["", "sep={}\n", '"SEP={}"\r\n']),
    delimiter=st.sampled_from(",;\t|"),
    ragged=st.integers(-3, 3),
)
def test_every_edit_that_keeps_the_labels_is_read(
    tmp_path: Path,
    rows: list[tuple[str, int, str, tuple[str, ...]]],
    extra: list[str],
    order: list[int],
    image_column: str,
    mark: str,
    line_end: str,
    quoting: int,
    padding: str,
    blank_lines: int,
    start: str,
    delimiter: str,
    ragged: int,
) -> None:
    expected = [
        LabelRow(row, f"{clip}_cat-1_{frame:03}.{extension}", clip, values)
        for row, (clip, frame, extension, values) in enumerate(rows, start=2)
    ]
    text = io.StringIO()
    text.write(mark + start.format(delimiter))
    writer = csv.writer(
        text,
        delimiter=delimiter if start else ",",
        lineterminator=line_end,
        quoting=quoting,  # type: ignore[arg-type]
    )

    def write(image: str, values: tuple[str, ...], note: str) -> None:
        cells = [image, *values, note]
        cells = [cells[index] for index in order]
        if image != image_column:  # the header is whole
            cells += [padding] * max(0, ragged)
            for _ in range(-ragged):
                if not cells[-1].strip():
                    cells.pop()
        writer.writerow(cells)

    write(image_column, LABEL_COLUMNS, "remark")
    if quoting == csv.QUOTE_ALL:
        extra = [note + "\r\nnext\rline\n" for note in extra]
    for label, note in zip(expected, extra, strict=False):
        write(
            padding + label.file_name + padding,
            tuple(padding + value + padding for value in label.values),
            note,
        )
    text.write(line_end * blank_lines)
    table = tmp_path / "tranch1_labels.csv"
    table.write_bytes(text.getvalue().encode())
    assert read(table) == expected


def test_exception_case_may_be_missing(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    table = write_table(
        tmp_path / "t.csv",
        [(NAME, "None", "Unknown", "Unknown / Watermark", "")],
        header=("file_name", *LABEL_COLUMNS[:-1]),
    )
    assert read(table) == [
        LabelRow(2, NAME, "ward 3", ("None", "Unknown", "Unknown / Watermark", "", ""))
    ]


@pytest.mark.parametrize(
    "cell",
    [
        f"home/{NAME}",
        f"C:\\images\\{NAME}",
        "https://bucket.example/a/ward%203_cat-1_000.png?signature=a/b.png#top",
        "s3://bucket/a%2Fward%203_cat-1_000.png",
        f"../../etc/{NAME}",
    ],
)
@pytest.mark.parametrize("column", ["file_name", "final_url"])
def test_a_location_counts_as_its_last_component(
    tmp_path: Path, write_table: Callable[..., Path], cell: str, column: str
) -> None:
    table = write_table(tmp_path / "t.csv", [(cell,)], header=(column, *LABEL_COLUMNS))
    assert [label.file_name for label in read(table)] == [NAME]


def test_file_name_wins_over_final_url(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    table = write_table(
        tmp_path / "t.csv",
        [("https://example.org/other", NAME)],
        header=("final_url", "file_name", *LABEL_COLUMNS),
    )
    assert [label.file_name for label in read(table)] == [NAME]


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("FK E-9.9_cat-1_012.png", "FK E-9.9"),
        ("SH-O-9 (9)_cat-1_000.PNG", "SH-O-9 (9)"),
        ("a_cat-1_1_cat-1_2.JpEg", "a_cat-1_1"),
        ("a_cat-2_000.png", None),
        ("a_CAT-1_000.png", None),
        ("_cat-1_000.png", None),
        ("a_cat-1_.png", None),
        ("a_cat-1_00x.png", None),
        ("a_cat-1_٣.png", None),
        ("a_cat-1_000.gif", None),
        ("a_cat-1_000.png\n", None),
        ("b/a_cat-1_000.png", None),
        ("a\x00_cat-1_000.png", None),
        ("", None),
    ],
)
def test_the_clip_rule(name: str, clip: str | None) -> None:
    assert clip_of(name) == clip


# -- What is an error --------------------------------------------------------------------


def test_rows_count_as_a_spreadsheet_counts_them(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "file_name,how_many,primary_posture,primary_occluded,staff_patient_other,note\n"
        'a_cat-1_1.png,One,,,,"two\nlines"\n'
        "\n"
        ",,,,,\n"
        "a_cat-1_2.png,One,Kneeling,,,\n"
    )
    (line,) = errors(table)
    assert "row 5: primary_posture is 'Kneeling'" in line


def test_all_problems_of_a_table_are_named_at_once(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    table = write_table(
        tmp_path / "t.csv",
        [
            ("", "One"),
            ("photo.png", "One"),
            ("a_cat-1_1.png", "Four", "Kneeling"),
            ("a_cat-1_2.png", "One"),
        ],
    )
    with table.open("a") as file:
        file.write("a_cat-1_3.png,One,,,,,,left over\n")
    lines = errors(table)
    assert [re.sub(r".*, (row \d+): (\S+) (\S+).*", r"\1 \2 \3", line) for line in lines] == [
        "row 2 file_name is",
        "row 3 file_name is",
        "row 4 how_many is",
        "row 4 primary_posture is",
        "row 6 it has",
    ]
    assert "8 cells where the header has 6, and the last is 'left over'" in lines[-1]
    assert "<clip>_cat-1_<frame>.<ext>" in lines[1]


def test_the_list_of_problems_ends(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    table = write_table(tmp_path / "t.csv", [(f"a_cat-1_{n}.png", "Four") for n in range(99)])
    lines = errors(table)
    assert len(lines) == MAX_PROBLEMS + 1
    assert f"row {MAX_PROBLEMS + 1}:" in lines[-2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "missing column file_name or final_url, how_many, primary_posture"),
        (
            b"file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n,,,,\n\n",
            "no rows",
        ),
        (
            b"file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n"
            b'a_cat-1_1.png,"One,,,\nb,,,,\n',
            "double quote",
        ),
        (
            b"file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n"
            b"a_cat-1_1.png,One,,,\na_cat-1_2.png,On",
            "row 3: the table ends in the midst of this row",
        ),
        (
            b"\n\nFile Name,how_many,Primary_Posture,primary_occluded,staff_patient_other\n",
            "write primary_posture instead of 'Primary_Posture', write file_name instead of 'File",
        ),
        (
            b"file_name,how_many,primary_posture,primary_occluded,staff_patient_other,exceptioncase"
            b"\na_cat-1_1.png,One,,,,Bad Image\n",
            "missing column exception_case; write exception_case instead of 'exceptioncase'",
        ),
        (
            b"file_name,how_many,primary_posture,primary_occluded,staff_patient_other,note\n"
            b"a_cat-1_1.png,One,,,,\na_cat-1_2.png,One,,,,M\xfcller\n",
            "row 3: the text is not UTF-8; save",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    table = tmp_path / "tranch1_labels.csv"
    table.write_bytes(content)
    (line,) = errors(table)
    assert str(table) in line
    assert message in line


def workbook(first: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(first, b"<xml/>")
    return file.getvalue()


TABLE = (
    "file_name,how_many,primary_posture,primary_occluded,staff_patient_other\na_cat-1_1.png,,,,\n"
)
OTHERS = {
    "an Excel workbook (.xlsx), not a CSV table": workbook("xl/workbook.xml"),
    "an OpenDocument file (.ods), not": workbook("mimetypeapplication/vnd.oasis.opendocument"),
    "a zip, as Excel workbooks are, not": workbook("tranch1_labels.csv"),
    "an old Excel workbook (.xls), not": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999),
    "an HTML page, such as a sign-in page, not": b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<html>Sign in",
    "an XML document, not": b"<?xml version='1.0'?><Error>AccessDenied</Error>",
    "a JSON document, not": b'{"message": "Bad credentials"}',
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
    "a gzip file, not": gzip.compress(TABLE.encode()),
    "a PDF document, not": b"%PDF-1.7",
    "a tar archive, not": b"tranch1_labels.csv".ljust(257, b"\0") + b"ustar\0",
    "a file of zeros, as an unfinished download leaves it, not": bytes(5000),
    "the text is UTF-16 and not UTF-8": TABLE.encode("utf-16"),
    "text is UTF-16 and not UTF-8": TABLE.encode("utf-16-le"),
    "is UTF-16 and not UTF-8": TABLE.encode("utf-16-be"),
    "the text is UTF-32 and not UTF-8": TABLE.encode("utf-32"),
}


@pytest.mark.parametrize("said", OTHERS)
def test_a_file_is_called_what_it_is(tmp_path: Path, said: str) -> None:
    table = tmp_path / "tranch1_labels.csv"
    table.write_bytes(OTHERS[said])
    (line,) = errors(table)
    assert line.startswith(str(table))
    assert said in line


@settings(
    derandomize=True,
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=200), header=st.booleans())
def test_bytes_of_any_kind_are_read_or_refused_in_words(
    tmp_path: Path, content: bytes, header: bool
) -> None:
    table = tmp_path / "t.csv"
    start = b"file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n"
    table.write_bytes(start * header + content)
    try:
        labels = read(table)
    except DataError as error:
        assert str(table) in str(error)
    else:
        assert header
        assert all(clip_of(label.file_name) == label.clip for label in labels)
