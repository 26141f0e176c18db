import csv
import itertools
import os
import random
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DataError, InputError
from components.ingest.master import (
    BAD_IMAGE_WITH_POSTURE,
    POSTURE_WITHOUT_PERSON,
    MatchCounts,
    build_master,
)
from schema import features

WriteTable = Callable[..., Path]
WriteZip = Callable[[Path, Mapping[str, bytes]], Path]
ReadCsv = Callable[[Path], list[dict[str, str]]]


# -- The real data -----------------------------------------------------------------------


def test_counts_the_real_tables(shared_data: Path, tmp_path: Path, read_csv: ReadCsv) -> None:
    report = build_master(shared_data / "labels", tmp_path, labels_only=True)
    assert report.rows == 40_787
    assert report.clips == 14_785
    assert report.known_posture == 36_428
    assert report.single_person == 26_707
    assert report.contradictions == {POSTURE_WITHOUT_PERSON: 37, BAD_IMAGE_WITH_POSTURE: 66}
    assert report.shared_clips == 0
    assert {name: counts.postures for name, counts in report.tranches.items()} == {
        "1": {"Lying": 2_929, "Sitting": 3_631, "Standing": 7_948},
        "2": {"Lying": 946, "Sitting": 3_186, "Standing": 7_458},
        "3": {"Lying": 948, "Sitting": 2_507, "Standing": 6_875},
    }
    master = read_csv(report.master)
    assert tuple(master[0]) == features.MASTER_COLUMNS
    assert len(master) == len({row["file_name"] for row in master}) == 40_787
    assert {row["file_path"] for row in master} == {""}
    assert read_csv(report.rejects) == []

    # Each contradiction names a row of a published table that really holds it.
    tables = {
        path.name: list(csv.reader(path.open(encoding="utf-8-sig", newline="")))
        for path in (shared_data / "labels").glob("*.csv")
    }
    named = read_csv(report.contradictory_rows)
    assert len(named) == 37 + 66
    for row in named:
        header, cells = tables[row["table"]][0], tables[row["table"]][int(row["row"]) - 1]
        labels = dict(zip(header, cells, strict=True))
        assert cells[0] == row["file_name"]
        assert labels["primary_posture"] in features.POSTURES
        if row["reason"] == POSTURE_WITHOUT_PERSON:
            assert labels["how_many"] == "None"
        else:
            assert labels["exception_case"] == "Bad Image"
    assert {row["file_name"] for row in named} <= {row["file_name"] for row in master}


def test_joins_the_real_tranches(shared_data: Path, tmp_path: Path, read_csv: ReadCsv) -> None:
    report = build_master(shared_data / "tranches", tmp_path)
    assert (report.rows, report.clips, report.single_person) == (597, 147, 597)
    assert [
        (counts.rows, counts.images, counts.matched) for counts in report.tranches.values()
    ] == [(175, 175, 175), (178, 178, 178), (244, 244, 244)]
    for row in read_csv(report.master):
        path = Path(row["file_path"])
        assert not path.is_absolute()
        assert (tmp_path / path).stat().st_size > 1000
        assert path.name == row["file_name"] == f"{row['clip']}_cat-1_{path.stem[-3:]}{path.suffix}"


# -- The join ----------------------------------------------------------------------------


def root_with(
    root: Path, tables: Mapping[str, Sequence[tuple[str, ...]]], write_table: WriteTable
) -> Path:
    """Makes a data root of folders: tables by tranche; the images named in them."""
    root.mkdir()
    for tranche, rows in tables.items():
        folder = root / ("home" if tranche == "1" else f"tranch{tranche}")
        folder.mkdir()
        for name, *_ in rows:
            (folder / name).write_bytes(b"image")
        write_table(root / f"tranch{tranche}_labels.csv", rows)
    return root


def test_what_does_not_match_is_rejected_with_its_reason(
    tmp_path: Path, write_table: WriteTable, read_csv: ReadCsv
) -> None:
    rows = [
        ("b_cat-1_001.png", "One", "Sitting", "No", "Patient", "No"),
        ("a_cat-1_000.JPG", "None", "", "Unknown / Watermark"),
        ("a_cat-1_001.png", "Two", "Lying", "", "Staff", "Yes"),
        ("=c_cat-1_000.png", "One", "Standing"),
    ]
    root = root_with(tmp_path / "root", {"2": rows}, write_table)
    images = root / "tranch2"
    (images / "a_cat-1_001.png").rename(images / "a_cat-1_001.PNG")
    (images / "b_cat-1_001.png").unlink()
    (images / "+1_cat-1_000.png").touch()
    (images / "Thumbs.db").touch()
    (images / "deeper").mkdir()
    (images / "deeper" / "._a_cat-1_000.JPG").touch()
    os.mkfifo(images / "pipe_cat-1_000.png")
    (images / "gone_cat-1_000.png").symlink_to("nowhere")
    (images / "linked").symlink_to(tmp_path)
    with open(os.fsencode(images) + b"/\xff_cat-1_000.png", "wb"):
        pass
    (images / "line\rbreak_cat-1_000.png").touch()

    report = build_master(root, tmp_path / "out")
    assert report.tranches == {
        "2": MatchCounts(
            rows=4,
            images=4,
            matched=2,
            labels_without_image=2,
            images_without_label=2,
            other_files=7,
            known_posture=1,
            postures={"Sitting": 0, "Standing": 1, "Lying": 0},
        )
    }
    assert read_csv(report.master) == [
        {
            "file_path": str(images / "=c_cat-1_000.png"),
            "file_name": "'=c_cat-1_000.png",
            "clip": "'=c",
            "tranche": "2",
            "how_many": "One",
            "primary_posture": "Standing",
            "primary_occluded": "",
            "staff_patient_other": "",
            "exception_case": "",
        },
        {
            "file_path": str(images / "a_cat-1_000.JPG"),
            "file_name": "a_cat-1_000.JPG",
            "clip": "a",
            "tranche": "2",
            "how_many": "None",
            "primary_posture": "",
            "primary_occluded": "Unknown / Watermark",
            "staff_patient_other": "",
            "exception_case": "",
        },
    ]
    (links, nearly) = report.warnings
    assert links.startswith("1 links to folders among the images are not followed")
    assert nearly.startswith("1 labels have no image, but there is one with nearly their name")
    table = "tranch2_labels.csv"
    text = "its name or folder contains control characters or bytes that are not UTF-8"
    assert [tuple(row.values()) for row in read_csv(report.rejects)] == [
        ("2", "'+1_cat-1_000.png", "", "", "no row names this image"),
        ("2", "._a_cat-1_000.JPG", "", "", "not an image file (png, jpg, jpeg)"),
        ("2", "Thumbs.db", "", "", "not an image file (png, jpg, jpeg)"),
        ("2", "\\udcff_cat-1_000.png", "", "", text),
        ("2", "a_cat-1_001.PNG", "", "", "no row names this image"),
        (
            *("2", "a_cat-1_001.png", table, "4"),
            "no image has this name; but a_cat-1_001.PNG differs in case only",
        ),
        ("2", "b_cat-1_001.png", table, "2", "no image has this name"),
        ("2", "gone_cat-1_000.png", "", "", "not a regular file: a broken link or a device"),
        ("2", "line\\rbreak_cat-1_000.png", "", "", text),
        ("2", "linked", "", "", "a link to a folder, which is not followed"),
        ("2", "pipe_cat-1_000.png", "", "", "not a regular file: a broken link or a device"),
    ]


def test_unzipped_and_zipped_tranches_mix(
    tmp_path: Path, write_table: WriteTable, write_zip: WriteZip, read_csv: ReadCsv
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png", "One")]}, write_table)
    write_table(root / "tranch12_labels.csv", [("b_cat-1_0.png", "One")])
    write_zip(root / "persons-posture-tranch12.zip", {"any/folder/b_cat-1_0.png": b"image"})
    out = tmp_path / "out"
    report = build_master(root, out)
    assert [row["file_path"] for row in read_csv(report.master)] == [
        str(root / "home" / "a_cat-1_0.png"),
        "images/tranch12/any/folder/b_cat-1_0.png",
    ]
    assert {path.name for path in out.iterdir()} == {
        *("images", "tranch_master.csv", "rejects.csv", "contradictions.csv")
    }


def test_a_data_root_below_the_output_gives_relative_paths(
    tmp_path: Path,
    write_table: WriteTable,
    read_csv: ReadCsv,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root_with(tmp_path / "root", {"1": [("a_cat-1_0.png", "One")]}, write_table)
    monkeypatch.chdir(tmp_path)
    report = build_master(Path("root"), Path())
    assert [row["file_path"] for row in read_csv(report.master)] == ["root/home/a_cat-1_0.png"]


def test_the_order_of_a_tables_rows_does_not_matter(
    tmp_path: Path, write_table: WriteTable
) -> None:
    rows = [(f"{n % 3}_cat-1_{n}.png", "One", "Sitting") for n in range(20)]
    folder = tmp_path / "root" / "home"
    folder.mkdir(parents=True)
    for name, *_ in rows:
        (folder / name).touch()
    write_table(tmp_path / "root" / "tranch1_labels.csv", rows)
    first = build_master(tmp_path / "root", tmp_path / "out")
    before = first.master.read_bytes()
    random.Random(3).shuffle(rows)  # noqa: S311 (drawn data, no secret)
    write_table(tmp_path / "root" / "tranch1_labels.csv", rows)
    assert build_master(tmp_path / "root", tmp_path / "out") == first
    assert first.master.read_bytes() == before


def test_clips_of_two_tranches_are_counted(tmp_path: Path, write_table: WriteTable) -> None:
    root = root_with(
        tmp_path / "root",
        {
            "1": [("a_cat-1_0.png",), ("b_cat-1_0.png",)],
            "2": [("a_cat-1_1.png",), ("c_cat-1_0.png",)],
        },
        write_table,
    )
    report = build_master(root, tmp_path / "out")
    assert (report.rows, report.clips, report.shared_clips) == (4, 3, 1)


# -- What is an error --------------------------------------------------------------------


def refused(root: Path, out: Path) -> str:
    """Asserts that nothing is written for a data root that is refused."""
    with pytest.raises(InputError) as caught:
        build_master(root, out)
    assert [path for path in out.rglob("*") if path.is_file()] == []
    return str(caught.value)


def test_a_name_in_two_tranches_is_an_error(tmp_path: Path, write_table: WriteTable) -> None:
    root = root_with(
        tmp_path / "root", {"1": [("a_cat-1_0.png",)], "2": [("a_cat-1_0.png",)]}, write_table
    )
    message = refused(root, tmp_path / "out")
    assert f"{root / 'tranch2_labels.csv'}, row 2" in message
    assert "in row 2 of tranch1_labels.csv" in message


def test_images_of_one_name_in_two_folders_are_an_error(
    tmp_path: Path, write_table: WriteTable
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    (root / "home" / "copy").mkdir()
    shutil.copy(root / "home" / "a_cat-1_0.png", root / "home" / "copy")
    assert "have the same name" in refused(root, tmp_path / "out")


def strangers(root: Path, out: Path) -> str:
    """The message for a data root where nothing matches; the table with the reasons is there."""
    with pytest.raises(DataError) as caught:
        build_master(root, out)
    assert [path.name for path in out.iterdir() if path.is_file()] == ["rejects.csv"]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_tables_and_images_that_are_strangers_are_an_error(
    tmp_path: Path, write_table: WriteTable
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    (root / "home" / "a_cat-1_0.png").rename(root / "home" / "b_cat-1_0.png")
    assert strangers(root, tmp_path / "out") == (
        f"None of the 1 images in {root}/home is named in {root}/tranch1_labels.csv (1 rows);"
        " row 2 names 'a_cat-1_0.png', and the nearest is b_cat-1_0.png; check that table and"
        " images belong together."
    )


def test_where_nothing_matches_the_nearest_name_is_given(
    tmp_path: Path, write_table: WriteTable, read_csv: ReadCsv
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    (root / "home" / "a_cat-1_0.png").rename(root / "home" / "A_cat-1_0.jpg")
    words = "but A_cat-1_0.jpg differs in case and extension only"
    message = strangers(root, tmp_path / "out")
    assert message.endswith(f"row 2 names 'a_cat-1_0.png', {words}; make the names equal.")
    reasons = [row["reason"] for row in read_csv(tmp_path / "out" / "rejects.csv")]
    assert reasons == ["no row names this image", f"no image has this name; {words}"]


def test_images_of_another_tranche_are_named(tmp_path: Path, write_table: WriteTable) -> None:
    root = root_with(
        tmp_path / "root", {"1": [("a_cat-1_0.png",)], "2": [("b_cat-1_0.png",)]}, write_table
    )
    (root / "home").rename(root / "x")
    (root / "tranch2").rename(root / "home")
    (root / "x").rename(root / "tranch2")
    message = strangers(root, tmp_path / "out")
    assert "but a_cat-1_0.png differs in place (tranche 2) only; check that the tables" in message


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "a link",
            "1 files or folders were left out, see {}: 1 x a link to a folder, which is not",
        ),
        (
            "a loop",
            "1 files or folders were left out, see {}: 1 x a link to a folder, which is not",
        ),
        ("a broken link", "1 files or folders were left out, see {}: 1 x not a regular file"),
        ("a link to itself", "1 files or folders were left out, see {}: 1 x not a regular file"),
        ("nothing", "There are no images in "),
        ("a picture of another format", "1 x not an image file (png, jpg, jpeg)"),
    ],
)
def test_a_tranche_without_images_says_what_was_left_out(
    tmp_path: Path, write_table: WriteTable, kind: str, said: str
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    home = root / "home"
    (home / "a_cat-1_0.png").rename(tmp_path / "a_cat-1_0.png")
    if kind in ("a link", "a loop"):
        (home / "more").symlink_to(tmp_path if kind == "a link" else home)
    elif kind != "nothing":
        name = "a_cat-1_0.webp" if kind == "a picture of another format" else "a_cat-1_0.png"
        targets = {"a broken link": "nowhere", "a link to itself": name}
        (home / name).symlink_to(targets.get(kind, tmp_path / "a_cat-1_0.png"))
    message = strangers(root, tmp_path / "out")
    assert said.format(tmp_path / "out" / "rejects.csv") in message
    assert f"There are no images in {home}" in message


def test_links_to_folders_are_warned_of_where_others_match(
    tmp_path: Path, write_table: WriteTable
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    (root / "home" / "more").symlink_to(tmp_path)
    (warning,) = build_master(root, tmp_path / "out").warnings
    assert warning.startswith("1 links to folders among the images are not followed")


def test_a_link_to_a_file_is_that_file(tmp_path: Path, write_table: WriteTable) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    (root / "home").rename(tmp_path / "elsewhere")
    (root / "home").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "a_cat-1_0.png").rename(tmp_path / "x.png")
    (root / "home" / "a_cat-1_0.png").symlink_to(tmp_path / "x.png")
    assert build_master(root, tmp_path / "out").rows == 1


@pytest.mark.parametrize(
    ("folder", "zipped", "warned"),
    [
        ("abc", "abc", None),
        ("abcd", "abc", None),
        ("a", "abc", "2 of the zip's 3 images are not there, or not of the same size"),
        ("abC", "abc", "1 of the zip's 3 images"),  # the last file is cut
        ("ax", "abc", "2 of the zip's 3 images"),
        ("abc", "", "the zip cannot be compared with it"),
    ],
)
def test_a_folder_that_lacks_what_the_zip_beside_it_has(
    tmp_path: Path,
    write_table: WriteTable,
    write_zip: WriteZip,
    folder: str,
    zipped: str,
    warned: str | None,
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    for letter in folder:
        name = root / "home" / f"{letter.lower()}_cat-1_0.png"
        name.write_bytes(b"image" if letter.islower() else b"im")
    packed = root / "persons-posture-tranch1.zip"
    if zipped:
        write_zip(packed, {f"home/{letter}_cat-1_0.png": b"image" for letter in zipped} | {
            "__MACOSX/home/._a_cat-1_0.png": b"1", "home/Thumbs.db": b"1"
        })  # fmt: skip
    else:
        packed.write_bytes(b"PK\x03\x04")
    report = build_master(root, tmp_path / "out")
    assert report.rows == 1
    assert not (tmp_path / "out" / "images").exists()
    if warned is None:
        assert report.warnings == []
    else:
        (warning,) = report.warnings
        assert warned in warning
        assert f"Of {root}/home and {packed}, the folder is used" in warning


def test_one_name_in_two_unicode_forms_is_one_name(
    tmp_path: Path, write_table: WriteTable, write_zip: WriteZip, read_csv: ReadCsv
) -> None:
    """Composed and decomposed (macOS), in table, folder and zip."""
    names = [
        unicodedata.normalize(form, f"{clip}_cat-1_0.png")
        for clip in ("Gr\u00fcn", "\u30ac")
        for form in ("NFC", "NFD")
    ]
    assert len(set(names)) == 4
    composed = sorted({unicodedata.normalize("NFC", name) for name in names})
    for number, (table, files) in enumerate(itertools.product((names[::2], names[1::2]), repeat=2)):
        for kind in ("home", "zip"):
            root = tmp_path / f"{number}{kind}"
            root.mkdir()
            write_table(root / "tranch1_labels.csv", [(name,) for name in table])
            if kind == "zip":
                write_zip(root / "persons-posture-tranch1.zip", {n: n.encode() for n in files})
            else:
                (root / "home").mkdir()
                for name in files:
                    (root / "home" / name).write_bytes(name.encode())
            out = tmp_path / f"{number}{kind}out"
            rows = read_csv(build_master(root, out).master)
            assert sorted(row["file_name"] for row in rows) == composed
            for row in rows:
                content = (out / row["file_path"]).read_text()
                assert unicodedata.normalize("NFC", content) == row["file_name"]


def test_an_output_folder_that_cannot_be_made_is_named(
    tmp_path: Path, write_table: WriteTable
) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/out cannot be used: Not a directory"):
        build_master(root, tmp_path / "file" / "out")


def test_a_failed_build_leaves_the_last_one_alone(tmp_path: Path, write_table: WriteTable) -> None:
    root = root_with(tmp_path / "root", {"1": [("a_cat-1_0.png",)]}, write_table)
    report = build_master(root, tmp_path / "out")
    before = report.master.read_bytes()
    write_table(root / "tranch1_labels.csv", [("a_cat-1_0.png", "Many")])
    with pytest.raises(DataError):
        build_master(root, tmp_path / "out")
    assert report.master.read_bytes() == before


# -- Any tables, any images --------------------------------------------------------------

NAMES = st.tuples(
    st.sampled_from(["a", "b", "=c", "D d", "é"]),
    st.integers(0, 3),
    st.sampled_from(["png", "PNG"]),
).map(lambda parts: f"{parts[0]}_cat-1_{parts[1]}.{parts[2]}")
LABELS = st.tuples(*(st.sampled_from(["", *values]) for values in features.LABEL_VALUES.values()))


@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    labels=st.dictionaries(NAMES, st.tuples(st.sampled_from(["1", "2", "10"]), LABELS), min_size=1),
    images=st.dictionaries(NAMES, st.sampled_from(["1", "2", "10"])),
)
def test_every_label_and_image_is_in_one_table(
    tmp_path: Path,
    write_table: WriteTable,
    read_csv: ReadCsv,
    labels: dict[str, tuple[str, tuple[str, ...]]],
    images: dict[str, str],
) -> None:
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    root, out = tmp_path / "case" / "root", tmp_path / "case" / "out"
    root.mkdir(parents=True)
    tranches = {tranche for tranche, _ in labels.values()}
    images = {name: tranche for name, tranche in images.items() if tranche in tranches}
    for tranche in tranches:
        (root / f"tranch{tranche}").mkdir()
        rows = [(name, *values) for name, (of, values) in labels.items() if of == tranche]
        write_table(root / f"tranch{tranche}_labels.csv", rows)
    for name, tranche in images.items():
        (root / f"tranch{tranche}" / name).touch()
    matched = {name for name in images if name in labels and labels[name][0] == images[name]}
    if {images[name] for name in matched} != tranches:
        with pytest.raises(DataError, match=r"None of the|There are no images"):
            build_master(root, out)
        return

    report = build_master(root, out)
    master = read_csv(report.master)
    assert {
        (
            row["file_name"].removeprefix("'"),
            row["tranche"],
            *(row[column] for column in features.LABEL_VALUES),
        )
        for row in master
    } == {(name, labels[name][0], *labels[name][1]) for name in matched}
    assert len(master) == report.rows == len(matched)
    order = [(int(row["tranche"]), row["file_name"].removeprefix("'")) for row in master]
    assert order == sorted(order)
    rejected = {
        (row["file_name"].removeprefix("'"), row["tranche"], bool(row["table"]))
        for row in read_csv(report.rejects)
    }
    assert rejected == {
        *((name, tranche, True) for name, (tranche, _) in labels.items() if name not in matched),
        *((name, tranche, False) for name, tranche in images.items() if name not in matched),
    }
    assert report.single_person == sum(
        features.is_selected(
            features.SINGLE_PERSON,
            row["primary_posture"],
            row["how_many"],
            row["primary_occluded"],
        )
        for row in master
    )


# -- Memory ------------------------------------------------------------------------------

# VmHWM, not getrusage: that counts what the forking test process had in memory, too.
MEASURE = """
import re, sys
from pathlib import Path
from components.ingest.master import build_master

report = build_master(Path(sys.argv[1]), Path(sys.argv[2]), labels_only=True)
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())
print(report.rows, peak[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, write_table: WriteTable) -> None:
    """A cache of 64 MB and Python itself, for a million rows."""
    rows = (
        (f"{sha256(b'%d' % (n // 4)).hexdigest()}_cat-1_{n % 4:03}.png", "One", "Sitting")
        for n in range(1_000_000)
    )
    write_table(tmp_path / "tranch1_labels.csv", rows)
    measured = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", MEASURE, tmp_path, tmp_path / "out"],
        cwd=Path(__file__).resolve().parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    count, kibibytes = map(int, measured.stdout.split())
    assert count == 1_000_000
    assert kibibytes < 200_000
