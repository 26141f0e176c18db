import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import pytest

from components.errors import DataError, InputError
from components.ingest import archive

WriteZip = Callable[[Path, Mapping[str, bytes]], Path]
IMAGES = {f"home/a_cat-1_{n:03}.png": bytes([n]) * (1000 + n) for n in range(20)}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@pytest.fixture
def images_zip(tmp_path: Path, write_zip: WriteZip) -> Path:
    return write_zip(tmp_path / "images.zip", IMAGES)


# -- What is unzipped, and when ----------------------------------------------------------


def test_unzips_for_the_owners_eyes_only(tmp_path: Path, images_zip: Path) -> None:
    steps: list[tuple[int, int]] = []
    target = tmp_path / "out" / "images" / "tranch1"
    assert archive.unzip(images_zip, target, lambda *step: steps.append(step))
    assert files(target) == IMAGES
    for path in [target, *target.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    total = sum(map(len, IMAGES.values()))
    assert steps[-1] == (total, total)
    assert sorted(steps) == steps


def test_an_unchanged_archive_is_not_unzipped_again(tmp_path: Path, images_zip: Path) -> None:
    target = tmp_path / "tranch1"
    assert archive.unzip(images_zip, target)
    before = {path: path.stat().st_ctime_ns for path in target.rglob("*")}
    assert not archive.unzip(images_zip, target)
    assert {path: path.stat().st_ctime_ns for path in target.rglob("*")} == before


def test_a_changed_archive_replaces_what_was_there(
    tmp_path: Path, images_zip: Path, write_zip: WriteZip
) -> None:
    target = tmp_path / "tranch1"
    archive.unzip(images_zip, target)
    write_zip(images_zip, {"home/b_cat-1_000.png": b"new"})
    assert archive.unzip(images_zip, target)
    assert files(target) == {"home/b_cat-1_000.png": b"new"}


def test_a_marker_never_stands_for_another_archives_files(
    tmp_path: Path, images_zip: Path, write_zip: WriteZip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the second of three unzips fails at its last step."""
    target = tmp_path / "tranch1"
    other = {name: content[::-1].replace(b"\x01", b"x") for name, content in IMAGES.items()}
    other_zip = write_zip(tmp_path / "other.zip", other)
    archive.unzip(images_zip, target)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left"):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patch.setattr(archive, "replacing", mock.Mock(side_effect=full))
        archive.unzip(other_zip, target)
    assert archive.unzip(images_zip, target)
    assert files(target) == IMAGES


@pytest.mark.parametrize("damage", ["remove", "cut", "add", "marker"])
def test_a_folder_that_was_tampered_with_is_mended(
    tmp_path: Path, images_zip: Path, damage: str
) -> None:
    target = tmp_path / "tranch1"
    archive.unzip(images_zip, target)
    image = target / "home" / "a_cat-1_003.png"
    if damage == "remove":
        image.unlink()
    elif damage == "cut":
        image.write_bytes(b"")
    elif damage == "add":
        (target / "home" / "other.png").touch()
    else:
        (tmp_path / "tranch1.unzipped.json").write_text("[")
    assert archive.unzip(images_zip, target)
    assert files(target) == IMAGES


KILLED = """
import os, signal, sys
from pathlib import Path
from components.ingest import archive

def advance(done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)

archive.unzip(Path(sys.argv[1]), Path(sys.argv[2]), advance)
"""


def test_a_killed_unzip_is_not_taken_for_complete_and_is_gone_on_with(
    tmp_path: Path, images_zip: Path
) -> None:
    target = tmp_path / "tranch1"
    killed = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", KILLED, images_zip, target],
        cwd=Path(__file__).resolve().parents[3],
        check=False,
    )
    assert killed.returncode == -9
    assert not target.exists()
    # One that was there in full, one that the kill or the disk cut.
    (partial,) = tmp_path.glob(".tranch1.unzipping-*")
    whole, cut = sorted(partial.glob("home/*"))[:2]
    cut.write_bytes(b"x" * cut.stat().st_size)
    before = whole.stat().st_ino, whole.stat().st_mtime_ns
    assert archive.unzip(images_zip, target)
    assert files(target) == IMAGES
    after = (target / "home" / whole.name).stat()
    assert (after.st_ino, after.st_mtime_ns) == before
    assert not list(tmp_path.glob(".tranch1*"))


def test_leftovers_of_another_archive_are_removed(tmp_path: Path, images_zip: Path) -> None:
    leftover = tmp_path / ".tranch1.unzipping-0123456789abcdef"
    leftover.mkdir()
    (leftover / "old.png").touch()
    archive.unzip(images_zip, tmp_path / "tranch1")
    assert not leftover.exists()


def test_names_in_utf8_without_the_flag_are_read_as_utf8(
    tmp_path: Path, write_zip: WriteZip
) -> None:
    """As macOS packs them."""
    name = "home/zoë\u2019s_cat-1_000.png"
    path = write_zip(tmp_path / "mac.zip", {name: b"1"})
    data = path.read_bytes()
    flag = 0x800.to_bytes(2, "little")
    local, central = data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8
    assert data[local : local + 2] == data[central : central + 2] == flag
    for offset in (local, central):
        data = data[:offset] + b"\0\0" + data[offset + 2 :]
    path.write_bytes(data)
    archive.unzip(path, tmp_path / "tranch1")
    assert files(tmp_path / "tranch1") == {name: b"1"}


def test_unzips_the_real_photos(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "tranches" / "persons-posture-tranch1.zip"
    assert archive.unzip(path, tmp_path / "tranch1")
    assert sum(map(len, files(tmp_path / "tranch1").values())) == 13_693_011


# -- Archives that mean harm -------------------------------------------------------------


def member(name: str, mode: int = 0, **attributes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def refused(path: Path, message: str) -> None:
    """Asserts that an archive is refused in one sentence and leaves nothing behind."""
    folder = path.parent / "inner" / "deep"
    folder.mkdir(parents=True)
    before = set(path.parent.rglob("*"))
    with pytest.raises(DataError, match=message) as caught:
        archive.unzip(path, folder / "tranch1")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(path.parent.rglob("*")) == before


def test_refuses_more_than_the_limits(
    tmp_path: Path, images_zip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With limits small enough for a test; nothing else is changed."""
    for number, (limit, value, message) in enumerate(
        [
            ("MAX_MEMBERS", 19, "20 members, more than 19"),
            ("MAX_MEMBER_BYTES", 1018, "unzips to 1,019 bytes, more than 1,018"),
            ("MAX_TOTAL_BYTES", 20_189, "unzips to 20,190 bytes, more than 20,189"),
            ("RATIO_FREE_BYTES", 20_189, "to 10 times its size, as a decompression bomb does"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(archive, limit, value)
            patch.setattr(archive, "MAX_RATIO", 10)
            refused(Path(shutil.copy(images_zip, folder)), message)


def test_refuses_members_that_share_their_bytes(tmp_path: Path) -> None:
    """As the quoted-overlap bombs do: a small file whose members unzip to terabytes."""
    noise = random.Random(1).randbytes(50_000)  # noqa: S311 (drawn data, no secret)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("home/a.png", noise)
        (info,) = opened.infolist()
        for n in range(3):
            twin = member(f"home/{n}.png", CRC=info.CRC)
            twin.compress_size = twin.file_size = info.file_size
            twin.header_offset = info.header_offset
            opened.filelist.append(twin)
            opened.NameToInfo[twin.filename] = twin
    refused(path, "overlap")


def test_refuses_encrypted_members(tmp_path: Path, images_zip: Path) -> None:
    data = bytearray(images_zip.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    images_zip.write_bytes(data)
    refused(images_zip, "is encrypted")


def test_refuses_an_archive_without_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("home/", b"")
    refused(tmp_path / "a.zip", "contains no files")


# -- Damaged archives --------------------------------------------------------------------


def test_a_wrong_checksum_is_damage_and_never_complete(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("home/a.png", b"right")
    path = tmp_path / "a.zip"
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(DataError, match="is damaged"):
        archive.unzip(path, tmp_path / "tranch1")
    assert not (tmp_path / "tranch1").exists()


def test_a_member_that_states_too_small_a_size_does_not_write_more(
    tmp_path: Path, write_zip: WriteZip
) -> None:
    path = write_zip(tmp_path / "a.zip", {"home/a.png": bytes(range(256)) * 40})
    data = path.read_bytes()
    size = (10_240).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(DataError, match="is damaged"):
        archive.unzip(path, tmp_path / "tranch1")
    assert all(path.stat().st_size <= 100 for path in tmp_path.glob(".tranch1*/home/*"))


def test_an_archive_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.zip cannot be unzipped"):
        archive.unzip(tmp_path / "none.zip", tmp_path / "tranch1")
