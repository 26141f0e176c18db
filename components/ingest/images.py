"""Turns any picture of a tranche into a small, upright RGB JPEG, or says why it cannot.

Files come from anywhere, so nothing about them is trusted: the time and memory that a file can
take are bounded before it is decoded.
"""

import io
import stat
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imagehash
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from schema.features import MAX_PIXELS

# The only formats that Pillow may try. EPS would run Ghostscript, and every parser adds to the
# attack surface. MPO, which phones write under the name .jpg, opens as JPEG.
FORMATS: Final = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF")

MAX_SIDE: Final = 65_535  # JPEG's own limit
MAX_FILE_BYTES: Final = 64 * 2**20
# Decoders allocate whole TIFF tiles, which may be far larger than the picture.
MAX_TIFF_TILE_PIXELS: Final = MAX_PIXELS
# Each scan of a progressive JPEG decodes the whole picture; encoders write about ten.
MAX_JPEG_SCANS: Final = 100

# Larger pictures are decoded one at a time by all threads of a worker.
LARGE_PIXELS: Final = 16_000_000
# The worker's converter processes share a file lock instead.
large_turn: AbstractContextManager[object] = threading.Lock()

# The most that one conversion may take, besides the interpreter and its libraries.
# Measured at 50 megapixels: WebP with alpha 780 MiB; AVIF with alpha, float TIFF and
# 16-bit PNG 630; RGBA PNG 570; progressive JPEG 320.
MAX_MEMORY_BYTES: Final = 2**30

JPEG_QUALITY: Final = 95
JPEG_SUBSAMPLING: Final = 0  # 4:4:4, full colour resolution

# A JPEG at least this many times larger than needed is decoded at a half, a quarter or an eighth
# of its size, which takes a quarter of the time.
_DRAFT_GAP: Final = 2

# The transposition that undoes each EXIF orientation (Exif 2.32, section 4.6.5.A).
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS: Final = {_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}


class ImageRejected(Exception):
    """A file cannot be used; the message is a short reason for the rejects table."""


@dataclass(frozen=True)
class ConvertedImage:
    """A picture as it is stored in the TFRecords.

    Attributes:
      jpeg: RGB, upright, fits the ingestion size, without metadata.
      width: of the original in pixels, after EXIF orientation.
      height: of the original in pixels, after EXIF orientation.
      brightness: mean luma (ITU-R BT.601), 0 to 255.
      contrast: standard deviation of the luma.
      sharpness: variance of the luma's Laplacian (4-neighbour kernel).
      saturation: mean HSV saturation, 0 to 255.
      perceptual_hash: 64-bit DCT hash, 16 hexadecimal digits.
    """

    jpeg: bytes
    width: int
    height: int
    brightness: float
    contrast: float
    sharpness: float
    saturation: float
    perceptual_hash: str


def convert(source: bytes | Path, size: int) -> ConvertedImage:
    """Converts a picture to what training reads: a small JPEG, and measurements of it.

    1. Open: one of `FORMATS`, the first frame of an animation. More than `MAX_FILE_BYTES`,
       `MAX_PIXELS` or `MAX_SIDE` is rejected before anything is decoded.
    2. Decode completely; a truncated file is rejected.
    3. Turn upright as EXIF says. Unreadable EXIF is ignored.
    4. To RGB, see `to_rgb`.
    5. Scale down to fit a square of side `size` (Lanczos), never up.
    6. Measure.
    7. Encode as JPEG, quality 95, 4:4:4, without the original's metadata.

    Args:
      source: the file's content or its path.
      size: side of the square that the result fits, in pixels.

    Returns:
      The JPEG, the size of the original, and the measurements.

    Raises:
      ImageRejected: the file cannot or must not be used.
    """
    image, width, height = _load(source, size)
    luma = np.asarray(image.convert("L"), np.float32)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING)
    return ConvertedImage(
        jpeg=encoded.getvalue(),
        width=width,
        height=height,
        brightness=float(luma.mean()),
        contrast=float(luma.std()),
        sharpness=float(_laplacian(luma).var()),
        saturation=float(np.asarray(image.convert("HSV"))[..., 1].mean()),
        perceptual_hash=str(imagehash.phash(image)),
    )


def _laplacian(luma: np.ndarray) -> np.ndarray:
    """Sums the differences to the four neighbours; an edge pixel is its own outer neighbour.

    The same as `scipy.ndimage.laplace`, which takes a third of a second to import.
    """
    padded = np.pad(luma, 1, mode="edge")
    neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return neighbours - 4 * luma


def load_rgb(source: bytes | Path, size: int) -> Image.Image:
    """Does steps 1 to 5 of `convert`: returns what the model sees of any picture.

    Args:
      source: the file's content or its path.
      size: side of the square that the result fits, in pixels.

    Returns:
      An upright RGB picture without metadata, no larger than the original.

    Raises:
      ImageRejected: the file cannot or must not be used.
    """
    return _load(source, size)[0]


def fitting(width: int, height: int, size: int) -> tuple[int, int]:
    """Returns width and height, scaled down to fit a square of side `size`, at least 1 each."""
    scale = min(1.0, size / width, size / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a picture of any of Pillow's modes to RGB with 8 bits.

    Alpha is dropped and the stored colours are kept, as TensorFlow's decoders do: training
    pictures are opaque, and serving has to see the same pixels. 16-bit gray is scaled from its
    whole range; Pillow would clip it. 32-bit integer and float pictures have no fixed range: their
    lowest value becomes black and their highest white. Pillow converts all other modes.

    Args:
      image: a decoded picture.

    Returns:
      The picture as RGB.

    Raises:
      ValueError: there is no conversion from this mode, or a pixel is not finite.
    """
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif image.mode in ("I", "F"):
        if not np.isfinite(np.asarray(image)).all():
            raise ValueError("a pixel is not a finite number")
        low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    else:
        return image.convert("RGB")
    scale = 255.0 / (high - low) if high > low else 0.0
    # Plus a half, because the conversion to 8 bits rounds down.
    gray = image.convert("F").point(lambda value: value * scale + (0.5 - low * scale))
    return gray.convert("L").convert("RGB")


def _load(source: bytes | Path, size: int) -> tuple[Image.Image, int, int]:
    """Returns the scaled RGB picture and the upright original's width and height."""
    content = _read(source) if isinstance(source, Path) else source
    if len(content) > MAX_FILE_BYTES:
        raise ImageRejected(f"more than {MAX_FILE_BYTES >> 20} MiB")
    if not content:
        raise ImageRejected("an empty file")
    # Pillow raises nearly anything on a hostile file: OSError, SyntaxError, ValueError,
    # EOFError, IndexError, struct.error, zlib.error, MemoryError, DecompressionBombError.
    # All of them mean that the file is not a usable picture, and each becomes a reason in the
    # rejects table.
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        _refuse_costly(image, content)
        with large_turn if image.width * image.height > LARGE_PIXELS else nullcontext():
            return _decode(image, size)
    except ImageRejected:
        raise
    except UnidentifiedImageError:
        reason = f"not a readable {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
        raise ImageRejected(reason) from None
    except Exception as error:
        raise ImageRejected(_reason(error)) from error


def _decode(image: Image.Image, size: int) -> tuple[Image.Image, int, int]:
    """Does steps 2 to 5 of `convert` on an opened picture; see `_load`."""
    original, fitted = image.size, fitting(*image.size, size)
    image.draft(None, (_DRAFT_GAP * fitted[0], _DRAFT_GAP * fitted[1]))
    image.load()
    rotation = _rotation(image)
    if rotation is not None:
        image = image.transpose(rotation)
    if rotation in _QUARTER_TURNS:
        original, fitted = original[::-1], fitted[::-1]
    image = to_rgb(image).resize(fitted, Image.Resampling.LANCZOS)
    image.info.clear()  # a comment or profile of the original would be written to the JPEG
    return image, *original


def _read(path: Path) -> bytes:
    """Reads a file, unless it is too large or opening it might block forever (a pipe)."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageRejected("not a regular file")
        with path.open("rb") as file:
            # One byte more than allowed is enough to see that a file is too large.
            return file.read(min(status.st_size, MAX_FILE_BYTES) + 1)
    except FileNotFoundError:
        raise ImageRejected("there is no such file") from None
    except ValueError:  # a path with a null character
        raise ImageRejected("not a file's name") from None
    except OSError as error:
        raise ImageRejected(f"the file cannot be read: {error.strerror}") from error


def _refuse_costly(image: Image.Image, content: bytes) -> None:
    """Rejects what would take too much memory or time to decode; reads headers only."""
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageRejected(f"{width} x {height} pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageRejected(f"{width} x {height} pixels; a side may have {MAX_SIDE:,}")
    if width * height > MAX_PIXELS:
        raise ImageRejected(f"{width} x {height} pixels; at most {MAX_PIXELS:,} are allowed")
    if isinstance(image, TiffImageFile):
        tile = image.tag_v2.get(TILEWIDTH, 0) * image.tag_v2.get(TILELENGTH, 0)
        if tile > MAX_TIFF_TILE_PIXELS:
            raise ImageRejected(f"TIFF tiles of {tile:,} pixels")
    if isinstance(image, JpegImageFile) and content.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise ImageRejected(f"a JPEG of more than {MAX_JPEG_SCANS} scans")


def _rotation(image: Image.Image) -> Image.Transpose | None:
    """Returns what turns a decoded picture upright; None if it is, or EXIF cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        # Anything may be raised, as in decoding; but the picture is decoded already, and broken
        # metadata is no reason to reject it.
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _reason(error: Exception) -> str:
    """Returns a decoder's error as one printable line."""
    if isinstance(error, MemoryError):
        return "decoding it takes more memory than is allowed"
    text = "".join(c if c.isprintable() else " " for c in f"{type(error).__name__}: {error}")
    return text[:200]
