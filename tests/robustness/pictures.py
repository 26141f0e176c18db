"""Pictures of every kind, and what Pillow makes of them."""

import functools
import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# Rewritten by mutants: where decoders look for lengths and counts.
_BAD_WORDS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00")


def picture(width: int, height: int) -> Image.Image:
    """A coloured picture with no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, 128 + 90 * np.sin(x * y / 700)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Encodes a picture."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(width: int, height: int, data: int, bits: int = 1, extra: bytes = b"") -> bytes:
    """A gray PNG whose pixels are zeros; they are never all in memory.

    Args:
      width: in pixels, as it says.
      height: likewise.
      data: how many bytes its pixels really unpack to.
      bits: of a pixel.
      extra: chunks before the pixels.
    """
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    pack = zlib.compressobj(1)
    packed = b"".join(pack.compress(bytes(2**20)) for _ in range(data >> 20))
    packed += pack.compress(bytes(data % 2**20)) + pack.flush()
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def documented(content: bytes, size: int) -> Image.Image:
    """The steps of `images.convert`, in plain Pillow."""
    image = Image.open(io.BytesIO(content))
    longest = max(image.size)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode == "I;16":
        values = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.round(values / 257).astype(np.uint8))
    image = image.convert("RGB")
    if longest > size:
        sides = (max(1, round(side * size / longest)) for side in image.size)
        image = image.resize(tuple(sides), Image.Resampling.LANCZOS)
    return image


@functools.cache
def seeds() -> dict[str, bytes]:
    """Good pictures for the fuzzer, by name: every format and kind of picture that is read."""
    small = picture(48, 33)
    frames = {"save_all": True, "append_images": [picture(48, 33).rotate(180)], "duration": 50}
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "jpeg": encode(small, "JPEG"),
        "progressive.jpeg": encode(small, "JPEG", progressive=True),
        "cmyk.jpeg": encode(small.convert("CMYK"), "JPEG"),
        "exif.jpeg": encode(small, "JPEG", exif=exif),
        "gray.jpeg": encode(small.convert("L"), "JPEG"),
        "png": encode(small),
        "palette.png": encode(small.quantize(16), transparency=3),
        "bits.png": encode(small.convert("1")),
        "16.png": encode(Image.fromarray(np.arange(1584, dtype=np.uint16).reshape(33, 48) * 40)),
        "alpha.png": encode(small.convert("RGBA")),
        "animated.png": encode(small, "PNG", **frames),
        "gif": encode(small, "GIF"),
        "animated.gif": encode(small, "GIF", **frames),
        "webp": encode(small, "WEBP"),
        "lossless.webp": encode(small, "WEBP", lossless=True),
        "animated.webp": encode(small, "WEBP", **frames),
        "bmp": encode(small, "BMP"),
        "palette.bmp": encode(small.convert("P"), "BMP"),
        "tiff": encode(small, "TIFF"),
        "lzw.tiff": encode(small, "TIFF", compression="tiff_lzw"),
        "jpeg.tiff": encode(small, "TIFF", compression="jpeg"),
        "avif": encode(small, "AVIF"),
    }


def mutant(number: int) -> tuple[str, bytes]:
    """The n-th damaged picture: the same one on every machine.

    Returns:
      What it was made from, and its bytes.
    """
    chance = random.Random(number)  # noqa: S311 (drawn data, no secret)
    name = sorted(seeds())[number % len(seeds())]
    content = bytearray(seeds()[name])
    for _ in range(chance.randint(1, 3)):
        # Half of the damage goes to where the headers are.
        place = chance.randrange(chance.choice([min(80, len(content)), len(content)]))
        what = chance.randrange(6)
        if what == 0:
            content[place] ^= 1 << chance.randrange(8)
        elif what == 1:
            content[place] = chance.randrange(256)
        elif what == 2:
            content[place : place + 4] = chance.choice(_BAD_WORDS)
        elif what == 3:
            del content[place : place + chance.randint(1, 64)]
        elif what == 4:
            part = bytes(content[place : place + chance.randint(1, 64)])
            content[place:place] = part * chance.randint(1, 4)
        else:
            other = seeds()[chance.choice(sorted(seeds()))]
            start = chance.randrange(len(other))
            content[place : place + 32] = other[start : start + 32]
        if not content:
            break
    return name, bytes(content)


def write(folder: Path, name: str | bytes, content: bytes) -> Path:
    """Writes a file, whatever it is called."""
    path = os.path.join(os.fsencode(folder), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(content)
    return Path(os.fsdecode(path))
