"""Archives from anywhere: what is in them, under their checksums, or a refusal in a sentence.

Here are the rules about members and damage; tests/components/ingest/test_archive.py has those
about unzipping, and about archives as a whole.
"""

import io
import random
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from components.errors import DataError
from components.ingest import archive, master
from tests.robustness.conftest import Tried
from tests.robustness.pictures import encode, picture

GOOD = {f"home/{n}_cat-1_{n:03}.png": encode(picture(20 + n, 10)) for n in range(12)}
Zip = zipfile.ZipFile


def member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


LEAVES = "has a path that leads out of the folder"
ROOT = "has a path that starts at a root or a drive"
DEVICE = "is a link or a device"
CASE = "or differ only in case"
CLASH = "is both a file and a folder"
NAME = "has an impossible name for an image"

# What is done to an archive by what it is, and what the refusal says.
HARM: dict[str, tuple[Callable[[Zip], None], str]] = {
    "leaves the folder": (lambda it: it.writestr("home/../../evil.png", b"evil"), LEAVES),
    "leaves it at once": (lambda it: it.writestr("../evil.png", b"evil"), LEAVES),
    "leaves it as a folder": (lambda it: it.writestr("home/../../evil/", b""), LEAVES),
    "leaves it and comes back": (lambda it: it.writestr("../tranch1/evil.png", b"evil"), LEAVES),
    "its parent": (lambda it: it.writestr("..", b"evil"), LEAVES),
    "itself": (lambda it: it.writestr(".", b"evil"), "has no name"),
    "nothing": (lambda it: it.writestr(member("home/.."), b"evil"), "has no name"),
    "backslashes": (lambda it: it.writestr(member("home\\..\\..\\evil.png"), b"evil"), LEAVES),
    "an absolute path": (lambda it: it.writestr("/tmp/evil.png", b"evil"), ROOT),  # noqa: S108 (only a name in a zip)
    "a host": (lambda it: it.writestr("//evil.png", b"evil"), ROOT),
    "a Windows host": (lambda it: it.writestr(member("\\\\host\\evil.png"), b"evil"), ROOT),
    "a drive": (lambda it: it.writestr("C:evil.png", b"evil"), ROOT),
    "a drive's root": (lambda it: it.writestr(member("C:\\evil.png"), b"evil"), ROOT),
    "a link": (lambda it: it.writestr(member("home/l.png", stat.S_IFLNK), b"/etc/passwd"), DEVICE),
    "a link to a folder": (lambda it: it.writestr(member("up", stat.S_IFLNK), b".."), DEVICE),
    "a device": (lambda it: it.writestr(member("home/null.png", stat.S_IFCHR), b""), DEVICE),
    "a disk": (lambda it: it.writestr(member("home/disk.png", stat.S_IFBLK), b""), DEVICE),
    "a pipe": (lambda it: it.writestr(member("home/pipe.png", stat.S_IFIFO), b""), DEVICE),
    "a socket": (lambda it: it.writestr(member("home/s.png", stat.S_IFSOCK), b""), DEVICE),
    "a name twice": (lambda it: it.writestr("home/3_cat-1_003.png", b"another"), CASE),
    "a name with other separators": (
        lambda it: it.writestr(member("home\\3_cat-1_003.png"), b"2"),
        CASE,
    ),
    "a name with a detour": (lambda it: it.writestr("home/./x/../3_cat-1_003.png", b"2"), CASE),
    "a name in another form": (
        lambda it: [it.writestr(f"home/{name}.png", b"1") for name in ("\u00e9", "e\u0301")],
        CASE,
    ),
    "a name in another case": (lambda it: it.writestr("home/3_CAT-1_003.PNG", b"2"), CASE),
    "a folder in another case": (lambda it: it.writestr("HOME/3_cat-1_003.png", b"2"), CASE),
    "accents in another case": (
        lambda it: [it.writestr(name, b"1") for name in ("home/é.png", "home/É.png")],
        CASE,
    ),
    "a file that is a folder": (lambda it: it.writestr("home", b"file"), CLASH),
    "the same in another case": (lambda it: it.writestr("Home", b"file"), CLASH),
    "a name of 300 bytes": (lambda it: it.writestr("home/" + "x" * 300, b""), NAME),
    "a name of 128 letters": (lambda it: it.writestr("home/" + "é" * 128, b""), NAME),
    "a name with an escape": (lambda it: it.writestr("home/\x1b[2J.png", b""), NAME),
    "a name of two lines": (lambda it: it.writestr("home/a\nb.png", b""), NAME),
    "bzip2": (lambda it: it.writestr("home/b.png", b"1" * 99, zipfile.ZIP_BZIP2), "with bzip2,"),
    "LZMA": (lambda it: it.writestr("home/b.png", b"1" * 99, zipfile.ZIP_LZMA), "with LZMA,"),
}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(path: Path) -> str:
    """The message of an archive that is refused, and leaves nothing outside of its folder."""
    folder = path.parent / "deep" / "inner"
    with pytest.raises(DataError) as caught:
        archive.unzip(path, folder / "tranch1")
    assert not (folder / "tranch1").exists()
    outside = {each for each in path.parent.rglob("*") if not each.is_relative_to(folder)}
    assert outside <= {path, path.parent / "deep"}
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("harm", HARM)
def test_harm_among_good_images(tmp_path: Path, tried: Tried, harm: str) -> None:
    """First, in the midst and last: nothing of the archive is unzipped."""
    does, said = HARM[harm]
    for place in (0, 6, 12):
        case = tmp_path / str(place)
        case.mkdir()
        with warnings.catch_warnings(), zipfile.ZipFile(case / "a.zip", "w") as opened:
            warnings.simplefilter("ignore")  # of the name that is there twice
            for number, (name, content) in enumerate([*GOOD.items(), ("", b"")]):
                if number == place:
                    does(opened)
                if name:
                    opened.writestr(name, content)
        message = refused(case / "a.zip")
        assert "is refused" in message
        assert said in message
        assert not (case / "deep").exists()
        tried("refused")


# Spellings of paths that stay inside, as archivers of other systems write them.
INSIDE = {
    "home\\a_cat-1_0.png": "home/a_cat-1_0.png",  # Windows PowerShell 5, .NET
    "./home/a_cat-1_0.png": "home/a_cat-1_0.png",  # bsdtar
    ".\\a_cat-1_0.png": "a_cat-1_0.png",
    "home//a_cat-1_0.png": "home/a_cat-1_0.png",
    "home/x/../a_cat-1_0.png": "home/a_cat-1_0.png",
    "home\\x\\..\\..\\a_cat-1_0.png": "a_cat-1_0.png",
    "home/e\u0301_cat-1_0.png": "home/\u00e9_cat-1_0.png",  # macOS
    "home/..._cat-1_0.png": "home/..._cat-1_0.png",
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_path_goes_where_it_leads(tmp_path: Path, name: str, tried: Tried) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        for folder in ("./", "home\\", "home/", "home/x/../"):
            opened.writestr(member(folder), b"")
        opened.writestr(member(name), b"image")
    assert archive.unzip(tmp_path / "a.zip", tmp_path / "tranch1")
    assert files(tmp_path / "tranch1") == {INSIDE[name]: b"image"}
    assert archive.sizes(tmp_path / "a.zip") == [(Path(INSIDE[name]).name, 5)]
    tried("unzipped")


@pytest.mark.parametrize(
    ("number", "name"), [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd"), (1, "method 1")]
)
def test_another_method_is_named_with_what_packs_readable_zips(
    tmp_path: Path, tried: Tried, number: int, name: str
) -> None:
    content = zipped(GOOD)
    for start, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.index(start) + offset
        content = content[:at] + number.to_bytes(2, "little") + content[at + 2 :]
    (tmp_path / "a.zip").write_bytes(content)
    message = refused(tmp_path / "a.zip")
    assert f"is packed with {name}, which is not read; unpack it, and pack" in message
    assert "tar -a -cf NEW.zip FOLDER" in message
    tried("refused")


def test_black_pictures_are_no_bomb(tmp_path: Path, tried: Tried) -> None:
    """Each shrinks to a thousandth; only a whole archive that does may fill a disk."""
    black = io.BytesIO()
    Image.new("RGB", (1920, 1080)).save(black, "BMP")
    content = zipped({**GOOD, **{f"home/b_cat-1_{n}.png": black.getvalue() for n in range(3)}})
    assert len(content) < len(black.getvalue()) / archive.MAX_RATIO
    (tmp_path / "a.zip").write_bytes(content)
    assert archive.unzip(tmp_path / "a.zip", tmp_path / "tranch1")
    tried("unzipped")


OTHER_FILES = {
    "is an HTML page, such as a sign-in page, not a zip": b"<!doctype html><html></html>",
    "is a 7-Zip archive, not a zip": b"7z\xbc\xaf\x27\x1c" + bytes(99),
    "is a gzip file, not a zip": b"\x1f\x8b\x08" + bytes(99),
    "is a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "is a file of zeros, as an unfinished download leaves it, not": bytes(99),
    "is damaged (its end is missing, as after a download that broke off)": b"PK\x03\x04"
    + bytes(99),
}


@pytest.mark.parametrize("said", OTHER_FILES)
def test_what_is_no_zip_is_called_what_it_is(tmp_path: Path, said: str, tried: Tried) -> None:
    (tmp_path / "a.zip").write_bytes(OTHER_FILES[said])
    assert said in refused(tmp_path / "a.zip")
    tried("refused")


def zipped(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in content.items():
            opened.writestr(name, data)
    return file.getvalue()


def test_truncations(tmp_path: Path, tried: Tried) -> None:
    content = zipped(GOOD)
    for percent in range(0, 100, 5):
        case = tmp_path / str(percent)
        case.mkdir()
        (case / "a.zip").write_bytes(content[: len(content) * percent // 100])
        assert "is damaged" in refused(case / "a.zip")
        tried("refused")


def test_damage(tmp_path: Path, tried: Tried) -> None:
    """A wrong byte anywhere is refused, or is in a name or a date and harms no image."""
    content = zipped(GOOD)
    for number in range(300):
        chance = random.Random(number)  # noqa: S311 (drawn data, no secret)
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        case = tmp_path / str(number)
        case.mkdir()
        (case / "a.zip").write_bytes(damaged)
        try:
            archive.unzip(case / "a.zip", case / "inner" / "tranch1")
        except DataError as error:
            assert str(case / "a.zip") in str(error)
            assert not (case / "inner" / "tranch1").exists()
            tried("refused")
        else:
            assert sorted(files(case / "inner" / "tranch1").values()) == sorted(GOOD.values())
            tried("read whole")


def test_a_zip_in_a_zip_is_a_rejected_file(tmp_path: Path, tried: Tried) -> None:
    """It is not unpacked, however deep it goes, and a row says so."""
    inner = zipped({"../evil.png": b"evil"})
    for _ in range(5):
        inner = zipped({"inner.zip": inner})
    root = tmp_path / "root"
    root.mkdir()
    (root / "persons-posture-tranch1.zip").write_bytes(zipped({**GOOD, "home/inner.zip": inner}))
    rows = "".join(f"{Path(name).name},One,Lying,No,Staff\n" for name in GOOD)
    (root / "tranch1_labels.csv").write_text(
        "file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n" + rows
    )
    report = master.build_master(root, tmp_path / "out")
    assert report.rows == len(GOOD)
    assert report.rejects.read_text().splitlines()[1:] == [
        '1,inner.zip,,,"not an image file (png, jpg, jpeg)"'
    ]
    assert len(files(tmp_path / "out" / "images")) == len(GOOD) + 2  # and the marker
    tried("archives")
