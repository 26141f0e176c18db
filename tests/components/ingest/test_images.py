"""What becomes of pictures: upright, small, RGB, or rejected with a reason."""

import csv
import io
import os
import struct
import zlib
from pathlib import Path
from unittest import mock

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from components.ingest import images
from components.ingest.images import ImageRejected, convert, load_rgb
from tests.robustness.pictures import documented, encode, picture, png

SIZE = 512


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


# -- Every odd file there is --------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much in these files
def test_each_odd_file_has_pillows_pixels_or_a_reason(shared_data: Path) -> None:
    root = shared_data / "images"
    with (root / "outcomes.csv").open(newline="") as file:
        outcomes = {row["file"]: row["pillow"] for row in csv.DictReader(file)}
    assert len(outcomes) == 342
    accepted = 0
    for name, outcome in outcomes.items():
        try:
            converted = convert(root / name, SIZE)
        except ImageRejected as rejection:
            assert 5 < len(str(rejection)) <= 200, name
            assert not outcome.startswith("ok"), f"{name} is fine, but rejected: {rejection}"
            continue
        accepted += 1
        expected = pixels(documented((root / name).read_bytes(), SIZE))
        assert np.array_equal(pixels(load_rgb(root / name, SIZE)), expected), name
        stored = Image.open(io.BytesIO(converted.jpeg))
        assert (stored.format, stored.mode) == ("JPEG", "RGB"), name
        # JPEG at quality 95; the worst is a picture of 4 x 4 pixels with 3.4.
        assert np.abs(pixels(stored) - expected).mean() < 4, name
    assert accepted == sum(outcome.startswith("ok") for outcome in outcomes.values()) == 313


# -- Upright ------------------------------------------------------------------------------


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Turns pixels as a camera would store them: where row 0 and column 0 are to be seen."""
    row, column = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = upright.swapaxes(0, 1) if row in ("left", "right") else upright
    if row in ("bottom", "right"):
        stored = stored[::-1]
    if column in ("bottom", "right"):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientations_equal_each_other(orientation: int, kind: str) -> None:
    upright = picture(90, 60)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(as_stored(np.asarray(upright), orientation))
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(stored, kind, exif=exif, **options)
    assert np.array_equal(pixels(load_rgb(content, SIZE)), pixels(upright))
    converted = convert(content, SIZE)
    assert (converted.width, converted.height) == (90, 60)
    assert converted.jpeg == convert(encode(upright), SIZE).jpeg


@pytest.mark.parametrize("view", ["Landscape", "Portrait"])
def test_cameras_orientations_equal_each_other(view: str, shared_data: Path) -> None:
    folder = shared_data / "images" / "exif-orientation"
    first = pixels(load_rgb(folder / f"{view}_0.jpg", 256))
    others = sorted(folder.glob(f"{view}_[1-8].jpg"))
    assert len(others) == 5
    for path in others:
        assert np.abs(pixels(load_rgb(path, 256)) - first).mean() < 2, path.name


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0",
        b"Exif\0\0nonsense",
    ],
)
def test_broken_exif_does_not_cost_a_good_picture(exif: bytes) -> None:
    good = encode(picture(40, 30), "JPEG")
    content = good[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + good[2:]
    assert np.array_equal(pixels(load_rgb(content, SIZE)), pixels(load_rgb(good, SIZE)))


# -- Size ---------------------------------------------------------------------------------

sides = st.one_of(st.integers(1, 120), st.integers(1, 3), st.integers(500, 4000))
modes = st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])


@settings(max_examples=150)
@given(width=sides, height=sides, mode=modes, size=st.integers(1, 300))
def test_fits_never_grows_and_keeps_its_shape(
    width: int, height: int, mode: str, size: int
) -> None:
    if width * height > 500_000:
        height = max(1, 500_000 // width)
    content = encode(Image.new(mode, (width, height)), "TIFF")
    converted = convert(content, size)
    assert (converted.width, converted.height) == (width, height)
    stored = Image.open(io.BytesIO(converted.jpeg))
    stored.load()
    assert stored.mode == "RGB"
    if max(width, height) <= size:
        assert stored.size == (width, height)
        return
    assert max(stored.size) == size
    scale = size / max(width, height)
    for side, original in zip(stored.size, (width, height), strict=True):
        assert side == 1 or abs(side - original * scale) <= 0.5
        assert side <= original


def test_drafting_large_jpegs_hardly_changes_them() -> None:
    large = encode(picture(1000, 750).resize((4000, 3000)), "JPEG", quality=92)
    full = Image.open(io.BytesIO(large)).resize((512, 384), Image.Resampling.LANCZOS)
    drafted = load_rgb(large, SIZE)
    assert drafted.size == full.size
    difference = np.abs(pixels(drafted) - pixels(full))
    assert difference.mean() < 1  # 0.2 on photos
    assert difference.max() < 12
    assert convert(large, SIZE).width == 4000


# -- To RGB -------------------------------------------------------------------------------


def test_16_bits_are_scaled_and_not_clipped() -> None:
    values = np.array([[0, 128, 129, 256, 257, 30_000, 65_535]], np.uint16)
    for content in (encode(Image.fromarray(values)), encode(Image.fromarray(values), "TIFF")):
        red = np.asarray(load_rgb(content, SIZE))[0, :, 0]
        assert red.tolist() == [0, 0, 1, 1, 1, 117, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits_span_from_black_to_white(dtype: type) -> None:
    values = np.array([[-1000, 0, 1000, 3000]], dtype)
    red = np.asarray(load_rgb(encode(Image.fromarray(values), "TIFF"), SIZE))[0, :, 0]
    assert red.tolist() == [0, 64, 128, 255]


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_rejected(hole: float) -> None:
    values = np.array([[0, 1, hole]], np.float32)
    with pytest.raises(ImageRejected, match="finite"):
        load_rgb(encode(Image.fromarray(values), "TIFF"), SIZE)


def test_alpha_is_dropped_as_tensorflow_does() -> None:
    opaque = picture(20, 10)
    see_through = opaque.copy()
    see_through.putalpha(Image.linear_gradient("L").resize((20, 10)))
    assert np.array_equal(pixels(load_rgb(encode(see_through), SIZE)), pixels(opaque))


def test_no_metadata_of_the_original_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010E] = "name of a patient"
    content = encode(
        picture(30, 20), "JPEG", exif=exif, comment=b"name of a patient", icc_profile=b"profile" * 9
    )
    assert content.count(b"name of a patient") == 2
    stored = convert(content, SIZE).jpeg
    assert b"patient" not in stored
    assert b"profile" not in stored


# -- Measures -----------------------------------------------------------------------------


def test_measures_of_a_flat_picture() -> None:
    converted = convert(encode(Image.new("RGB", (64, 48), (200, 100, 50))), SIZE)
    assert converted.brightness == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=0.6)
    assert converted.contrast == converted.sharpness == 0
    assert converted.saturation == pytest.approx(255 * (200 - 50) / 200, abs=1)


def test_measures_of_stripes() -> None:
    stripes = np.zeros((40, 40), np.uint8)
    stripes[:, ::2] = 200
    converted = convert(encode(Image.fromarray(stripes)), SIZE)
    assert converted.brightness == pytest.approx(100)
    assert converted.contrast == pytest.approx(100)
    assert converted.saturation == 0
    # Inside, the Laplacian is +400 or -400; at the two edges one neighbour is the pixel itself.
    inner, edge = np.tile([400.0, -400.0], 19), np.array([-200.0, 200.0])
    assert converted.sharpness == pytest.approx(np.concatenate([inner, edge]).var())


def test_blur_lowers_sharpness_and_hardly_moves_the_hash() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (99, 99), np.uint8))
    sharp = noise.resize((400, 400), Image.Resampling.BICUBIC)
    blurred = sharp.resize((70, 70)).resize((400, 400), Image.Resampling.BICUBIC)
    one, two = convert(encode(sharp), SIZE), convert(encode(blurred), SIZE)
    assert two.sharpness < one.sharpness / 2
    hashes = [imagehash.hex_to_hash(each.perceptual_hash) for each in (one, two)]
    assert all(len(each.perceptual_hash) == 16 for each in (one, two))
    assert hashes[0] - hashes[1] <= 4


# -- Rejects ------------------------------------------------------------------------------


def png_of_zeros(width: int, height: int) -> bytes:
    return png(width, height, (1 + (width + 7) // 8) * height)


def test_the_largest_pictures_pass_and_larger_ones_do_not() -> None:
    assert convert(png_of_zeros(50_000, 1000), SIZE).width == 50_000
    assert convert(png_of_zeros(images.MAX_SIDE, 1), SIZE).width == images.MAX_SIDE
    for width, height in ((50_000, 1001), (images.MAX_SIDE + 1, 1), (20_000, 20_000)):
        with pytest.raises(ImageRejected, match=r"pixels"):
            convert(png_of_zeros(width, height), SIZE)


def tiff_with_tiles(side: int) -> bytes:
    """A TIFF of 16 x 16 gray pixels in one deflated tile that claims another size."""
    data = zlib.compress(bytes(1000))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side}
    tags |= {324: 8, 325: len(data)}  # where the tile is, and its length
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()
    )
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


def test_huge_tiff_tiles_are_rejected() -> None:
    assert convert(tiff_with_tiles(16), SIZE).width == 16
    with pytest.raises(ImageRejected, match="1,600,000,000"):
        convert(tiff_with_tiles(40_000), SIZE)


def test_jpegs_of_very_many_scans_are_rejected() -> None:
    content = encode(picture(64, 64), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    assert convert(content[:-2] + last * 80 + b"\xff\xd9", SIZE).width == 64
    with pytest.raises(ImageRejected, match="scans"):
        convert(content[:-2] + last * 100 + b"\xff\xd9", SIZE)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(images.MAX_FILE_BYTES + 1)
    for name, reason in (
        ("pipe.png", "not a regular file"),
        (".", "not a regular file"),
        ("empty.png", "an empty file"),
        ("large.png", "more than 64 MiB"),
        ("missing.png", "no such file"),
        ("missing\0.png", "not a file's name"),
        ("x" * 300, "cannot be read"),
    ):
        with pytest.raises(ImageRejected, match=reason):
            convert(tmp_path / name, SIZE)


def test_postscript_is_never_run() -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with mock.patch.object(EpsImagePlugin, "Ghostscript") as ghostscript:
        with pytest.raises(ImageRejected, match="not a readable JPEG, PNG"):
            convert(script, SIZE)
        ghostscript.assert_not_called()
