"""Pictures from anywhere: Pillow's pixels after the documented steps, or a reason."""

import csv
import io
import json
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components import processes
from components.ingest import images
from components.ingest.converter import Converter
from components.ingest.images import ImageRejected
from tests.robustness import pictures
from tests.robustness.conftest import Tried
from tests.robustness.pictures import chunk, documented, encode, picture, png

SIZE = 512
MIB = 2**20

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of much in these files


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    with Converter() as made:
        yield made


def peak(converter: Converter) -> int:
    """Most memory that the converter's process has had, in bytes."""
    assert converter._process is not None
    status = Path(f"/proc/{converter._process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found
    return 1024 * int(found[1])


def outcome(converter: Converter, path: Path, size: int = SIZE) -> Image.Image | str:
    """The pixels that a file comes to, or why it is rejected."""
    try:
        pixels = Image.open(io.BytesIO(converter.png(path, size)))
        converted = converter.convert(path, size)
    except ImageRejected as rejection:
        reason = str(rejection)
        assert 5 < len(reason) <= 200
        assert reason.isprintable()
        return reason
    stored = Image.open(io.BytesIO(converted.jpeg))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", pixels.size)
    return pixels


def equals(found: Image.Image, content: bytes, size: int = SIZE) -> bool:
    return np.array_equal(np.asarray(found), np.asarray(documented(content, size)))


def comparable(content: bytes) -> bool:
    """Whether `documented` says how: not for large JPEGs, which are drafted, and 32-bit gray."""
    image = Image.open(io.BytesIO(content))
    drafted = image.format in ("JPEG", "MPO") and max(image.size) >= 2 * SIZE
    return not drafted and not (image.mode in ("I", "F") or image.mode.startswith("I;16"))


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_truncations(converter: Converter, tmp_path: Path, tried: Tried, kind: str) -> None:
    """Cut at every 5 % of its length, a file is refused, or whole to the last pixel."""
    progressive = {"progressive": True} if kind == "progressive JPEG" else {}
    content = encode(picture(400, 300), kind.split()[-1], **progressive)
    for percent in range(0, 100, 5):
        cut = content[: len(content) * percent // 100]
        found = outcome(converter, pictures.write(tmp_path, f"{percent}.jpg", cut))
        assert isinstance(found, str), f"{kind} cut at {percent} % was accepted"
        tried("refused")
    found = outcome(converter, pictures.write(tmp_path, "whole.jpg", content))
    assert isinstance(found, Image.Image)
    assert equals(found, content)
    tried("whole")


def try_mutants(converter: Converter, folder: Path, numbers: range, tried: Tried) -> None:
    for number in numbers:
        name, content = pictures.mutant(number)
        found = outcome(converter, pictures.write(folder, "mutant.png", content), 256)
        if isinstance(found, str):
            assert "crashes" not in found, f"mutant {number} of {name}: {found}"
            tried("rejected")
            continue
        assert max(found.size) <= 256
        tried("accepted")
        if comparable(content):
            assert equals(found, content, 256), f"mutant {number} of {name}"
            tried("compared")
    assert peak(converter) < images.MAX_MEMORY_BYTES


def test_mutants(converter: Converter, tmp_path: Path, tried: Tried) -> None:
    try_mutants(converter, tmp_path, range(200), tried)


@pytest.mark.robustness_full
def test_many_mutants(converter: Converter, tmp_path: Path, tried: Tried) -> None:
    try_mutants(converter, tmp_path, range(200, 2000), tried)


def test_contents_count_and_not_extensions(
    converter: Converter, tmp_path: Path, tried: Tried
) -> None:
    for kind, content in pictures.seeds().items():
        for extension in ("png", "JPG", "jpeg"):
            path = pictures.write(tmp_path, f"{kind}.{extension}", content)
            found = outcome(converter, path)
            assert isinstance(found, Image.Image), f"{path.name}: {found}"
            if comparable(content):
                assert equals(found, content), path.name
            tried("pictures")
    for name, content in {
        "page": b"<!DOCTYPE html><html><body>Please sign in</body></html>",
        "script": b"#!/bin/sh\nexit 0\n",
        "table": b"file_name,how_many\na.png,One\n",
        "zip": b"PK\x03\x04" + bytes(40),
        "pdf": b"%PDF-1.7\n1 0 obj\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "elf": b"\x7fELF" + bytes(60),
        "empty": b"",
        "one byte": b"\xff",
        "zeros": bytes(5000),
    }.items():
        for extension in ("png", "jpg"):
            found = outcome(converter, pictures.write(tmp_path, f"{name}.{extension}", content))
            assert isinstance(found, str), name
            tried("others")


def test_first_frames(converter: Converter, tmp_path: Path, tried: Tried) -> None:
    frames = [picture(60, 40).rotate(90 * turn) for turn in range(5)]
    for kind, options in {
        "GIF": {},
        "WEBP": {"lossless": True},
        "PNG": {},
        "AVIF": {},
    }.items():
        content = encode(
            frames[0], kind, save_all=True, append_images=frames[1:], duration=40, **options
        )
        assert getattr(Image.open(io.BytesIO(content)), "n_frames", 1) == 5
        found = outcome(converter, pictures.write(tmp_path, f"{kind}.png", content))
        assert isinstance(found, Image.Image)
        assert equals(found, content), kind
        tried("animations")


# -- What would take memory ---------------------------------------------------------------


def bombs() -> dict[str, bytes]:
    """Small files that ask for much memory."""
    text = b"comment\0\0" + zlib.compress(bytes(300 * MIB), 9)
    profile = b"profile\0\0" + zlib.compress(bytes(300 * MIB), 9)
    return {
        "30,000 x 30,000 PNG": png(30_000, 30_000, 30_000 * 3751),
        "PNG with more pixels than it says": png(64, 64, 500 * MIB),
        "PNG with a text of 300 MiB": png(64, 64, 64 * 9, extra=chunk(b"zTXt", text)),
        "PNG with a profile of 300 MiB": png(64, 64, 64 * 9, extra=chunk(b"iCCP", profile)),
        "JPEG of 65,500 x 65,500": jpeg_that_says(65_500, 65_500),
        "GIF of 65,535 x 65,535": gif_that_says(65_535, 65_535),
        "BMP of 2,000,000,000 x 1": bmp_that_says(2_000_000_000, 1),
        "WebP of 16,383 x 16,383": bytes.fromhex(
            "524946461e000000574542505650384c110000002f"
            + struct.pack("<I", 16_382 | 16_382 << 14).hex()
            + "1507" * 6
        ),
    }


def jpeg_that_says(width: int, height: int) -> bytes:
    content = bytearray(encode(picture(16, 16), "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def gif_that_says(width: int, height: int) -> bytes:
    content = bytearray(encode(picture(16, 16), "GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def bmp_that_says(width: int, height: int) -> bytes:
    content = bytearray(encode(picture(16, 16), "BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def test_bombs_take_bounded_memory(tmp_path: Path, tried: Tried) -> None:
    with Converter() as converter:
        outcome(converter, pictures.write(tmp_path, "good.png", encode(picture(60, 40))))
        before = peak(converter)
        for name, content in bombs().items():
            assert len(content) < 4 * MIB, name
            found = outcome(converter, pictures.write(tmp_path, "bomb.png", content))
            rose = peak(converter) - before
            assert rose < 64 * MIB, f"{name} took {rose / MIB:.0f} MiB"
            if name != "PNG with more pixels than it says":  # its 64 x 64 are there, and whole
                assert isinstance(found, str), name
            tried("bombs")
        tried("MiB at most", (peak(converter) - before) // MIB)


@pytest.mark.robustness_full
def test_a_whole_picture_of_30000_pixels_a_side(tmp_path: Path, tried: Tried) -> None:
    """Not only its head: 900 million pixels of 8 bits, really there."""
    content = png(30_000, 30_000, 30_000 * 30_001, bits=8)
    with Converter() as converter:
        found = outcome(converter, pictures.write(tmp_path, "huge.png", content))
        assert isinstance(found, str)
        assert "900000000 pixels" in found
        assert peak(converter) < 200 * MIB
        tried("MiB at most", peak(converter) // MIB)


# -- Files that kill who reads them -------------------------------------------------------

# A fault that is planted in Pillow: it stands for the one that is not known yet. What it does
# to the process is real.
PLANTED = """
import ctypes, io, os, time
from PIL import Image, ImageFile

load = ImageFile.ImageFile.load

def faulty(self):
    comment = self.info.get("comment", b"")
    if comment == b"segfault":
        ctypes.string_at(0)
    if comment == b"abort":
        os.abort()
    if comment == b"exit":
        os._exit(3)
    if comment == b"memory":
        hoard = bytearray(2 ** 31)
    if comment == b"kill":
        os.kill(os.getpid(), 9)
    if comment == b"hang":
        time.sleep(1000)
    return load(self)

ImageFile.ImageFile.load = faulty
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pillow that some comments in a JPEG kill."""
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PLANTED)
    environment = processes.environment()
    environment["PYTHONPATH"] += f":{folder}"
    monkeypatch.setattr(processes, "environment", lambda: environment)
    return folder


REASONS = {
    "segfault": "reading it crashes the decoder (SIGSEGV), twice",
    "abort": "reading it crashes the decoder (SIGABRT), twice",
    "exit": "reading it crashes the decoder (status 3), twice",
    "memory": "decoding it takes more memory than is allowed",
    "hang": "reading it takes longer than 4 seconds, twice",
}


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_a_file_that_kills_its_process_costs_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    """Through the whole of ingestion: one row each in rejects.csv, everything else written."""
    from components.ingest import converter, master, tfrecords

    monkeypatch.setattr(converter, "MAX_SECONDS", 4.0)
    folder = tmp_path / "data" / "home"
    folder.mkdir(parents=True)
    names = {}
    for number in range(20):
        name = f"c{number}_cat-1_{number:03}.jpg"
        fault = dict(zip(range(3, 20, 3), REASONS, strict=False)).get(number, "")
        (folder / name).write_bytes(encode(picture(90, 60), "JPEG", comment=fault.encode()))
        names[name] = fault
    rows = "".join(f"{name},One,Lying,No,Staff,No\n" for name in names)
    (tmp_path / "data" / "tranch1_labels.csv").write_text(
        "file_name,how_many,primary_posture,primary_occluded,staff_patient_other,exception_case\n"
        + rows
    )
    table = master.build_master(tmp_path / "data", tmp_path / "out")
    report = tfrecords.write_tfrecords(table.master, tmp_path / "out" / "tfrecords", size=64)
    counts = report.tranches["1"]
    assert (counts.rows, counts.written, counts.rejected) == (20, 15, 5)
    with (tmp_path / "out" / "tfrecords" / "1" / "rejects.csv").open(newline="") as file:
        found = {row["file_name"]: row["reason"] for row in csv.DictReader(file)}
    assert found == {name: REASONS[fault] for name, fault in names.items() if fault}
    manifest = json.loads((tmp_path / "out" / "tfrecords" / "1" / "manifest.json").read_text())
    assert manifest["counts"]["rejected"] == 5
    tried("files that kill", 5)
    tried("others written", 15)


def test_a_process_that_cannot_start_is_no_files_fault(planted: Path, tmp_path: Path) -> None:
    (planted / "sitecustomize.py").write_text("import os\nos._exit(7)\n")
    path = pictures.write(tmp_path, "good.png", encode(picture(60, 40)))
    with Converter() as converter, pytest.raises(RuntimeError, match=r"cannot be started: .*7"):
        converter.convert(path, SIZE)


def test_a_limit_below_what_a_picture_may_take_is_named() -> None:
    reader = processes.python("components.ingest.converter")
    done = subprocess.run(  # noqa: S603 (our own module)
        ["prlimit", f"--as={2**30}", *reader],  # noqa: S607 (the system's own command)
        env=processes.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "MemoryError: reading pictures may take 1," in done.stderr
    assert "the limit (ulimit -v) is 1,024 MiB" in done.stderr


def test_being_killed_is_no_files_fault(planted: Path, tmp_path: Path) -> None:
    """With memory enough, the picture is there again: nothing remembers it as rejected."""
    killing = encode(picture(60, 40), "JPEG", comment=b"kill")
    path = pictures.write(tmp_path, "killing.jpg", killing)
    with Converter() as converter, pytest.raises(MemoryError, match="was killed, twice"):
        converter.convert(path, SIZE)


def test_being_stopped_is_no_files_fault(tmp_path: Path) -> None:
    path = pictures.write(tmp_path, "good.png", encode(picture(60, 40)))
    with Converter() as converter:
        converter.convert(path, SIZE)
        assert converter._process is not None
        converter._process.terminate()
        with pytest.raises(RuntimeError, match="ended by SIGTERM"):
            converter.convert(path, SIZE)
        assert converter.convert(path, SIZE).width == 60  # and it goes on
        assert converter._process is not None
        converter._process.kill()  # as the kernel does when memory is short
        assert converter.convert(path, SIZE).width == 60


def test_the_costliest_picture_passes_the_bound(tmp_path: Path) -> None:
    # A lossless WebP with alpha of 8160 x 6120 pixels in 38 bytes.
    content = "524946461e000000574542505650384c110000002fdfdff9150750e42ad4a3808188e87f0000"
    path = pictures.write(tmp_path, "costly.webp", bytes.fromhex(content))
    with Converter() as converter:
        converter.convert(pictures.write(tmp_path, "good.png", encode(picture(60, 40))), SIZE)
        before = peak(converter)
        assert converter.convert(path, SIZE).width == 8160
        assert 200 * MIB < peak(converter) - before < images.MAX_MEMORY_BYTES


# -- Names --------------------------------------------------------------------------------

STEM = "_cat-1_001.png"
NAMES = {
    "spaces": " a  b c" + STEM,
    "quotes": 'it\'s "quoted"' + STEM,
    "a backquote": "`id` $(id) ${HOME} %s %n" + STEM,
    "Unicode": "Zoë 中文 🙂 \u202eabc" + STEM,
    "decomposed Unicode": "e\u0301" + STEM,
    "255 bytes": "x" * (255 - len(STEM)) + STEM,
    "a leading dash": "--help" + STEM,
    "a formula": "=cmd|'C calc'!A0" + STEM,
    "markup": "<script>alert(1)</script>".replace("/", "") + "[bold]" + STEM,
    "commas": "a,b;c\u2028d" + STEM,
    "a leading point": "..a" + STEM,
}
UNTYPABLE = {
    "a newline": "a\nb" + STEM,
    "an escape": "\x1b[2J" + STEM,
    "bytes that are no text": b"\xff\xfe" + STEM.encode(),
}


def test_names(converter: Converter, tmp_path: Path, tried: Tried) -> None:
    """Each file ends in the TFRecords, or in a table with the reason."""
    from components.ingest import master, tfrecords

    folder = tmp_path / "data" / "home"
    folder.mkdir(parents=True)
    content = encode(picture(60, 40))
    for name in (*NAMES.values(), *UNTYPABLE.values()):
        path = pictures.write(folder, name, content)
        found = outcome(converter, path)
        assert isinstance(found, Image.Image)
        assert equals(found, content)
    with (tmp_path / "data" / "tranch1_labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file_name", "how_many", "primary_posture", "primary_occluded",
                        "staff_patient_other"))  # fmt: skip
        table.writerows([name, "One", "Lying", "No", "Staff"] for name in NAMES.values())
    report = master.build_master(tmp_path / "data", tmp_path / "out")
    written = tfrecords.write_tfrecords(report.master, tmp_path / "out" / "tfrecords", size=64)
    with report.rejects.open(newline="") as file:
        rejected = {(row["file_name"], row["reason"]) for row in csv.DictReader(file)}
    # Blanks around a cell are cut, as spreadsheets leave them; and hidden files are none.
    lost = {NAMES["spaces"], NAMES["a leading point"]}
    assert written.written == len(NAMES) - len(lost)
    assert {name for name, reason in rejected if reason == "no row names this image"} == {
        NAMES["spaces"]
    }
    odd = {name for name, reason in rejected if "bytes that are not UTF-8" in reason}
    assert odd == {"a\\nb" + STEM, "\\x1b[2J" + STEM, "\\udcff\\udcfe" + STEM}
    assert len(rejected) == 2 + 2 + len(UNTYPABLE)
    tried("names", len(NAMES) + len(UNTYPABLE))
