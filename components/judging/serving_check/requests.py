"""The requests to send: pictures in every format and size that users send, and bad ones."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

LARGE_SIDE: Final = 3000  # pixels; a phone's photo
LARGE_IMAGES: Final = 2
TINY_SIDES: Final = (8, 1)
BATCH: Final = 32

SERVING_DEFAULT: Final = "serving_default"
SERVING_EXAMPLES: Final = "serving_examples"
# No request: what the trained network says of the pictures that Transform wrote.
TRAINING: Final = "training"


@dataclass(frozen=True)
class Request:
    """One call of a signature, and the answer that is expected.

    Attributes:
      name: of the case in the report.
      what: the subject of the report's sentence.
      payloads: encoded pictures, or serialized tf.Examples.
      signature: of the exported model.
      like: `TRAINING`, or the request whose probabilities are expected, row by row (repeated
        where it has fewer rows); None if the answer only has to be well formed.
      lossy: the pixels are close to those of `like`, not the same.
      refused: the right answer is an error, or a refusal of all pictures.
    """

    name: str
    what: str
    payloads: Sequence[bytes]
    signature: str = SERVING_DEFAULT
    like: str | None = None
    lossy: bool = False
    refused: bool = False


def requests_of(examples: Sequence[bytes], jpegs: Sequence[bytes]) -> list[Request]:
    """Makes the requests, in the order to send them in.

    Args:
      examples: serialized raw tf.Examples, at least one.
      jpegs: the stored picture of each.

    Returns:
      The requests. The last one is good and follows the bad ones, to show that the server
      survived them.
    """
    images = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in jpegs]
    grays = [image.convert("L") for image in images]
    # A GIF has 256 colours.
    palettes = [image.quantize(256) for image in images]
    pngs = [_encode(image, "PNG") for image in images]
    bmps = [_encode(image, "BMP") for image in images]
    rgba = [_encode(image.convert("RGBA"), "PNG") for image in images]
    tiny = [_encode(images[0].resize((side, side)), kind) for side in TINY_SIDES for kind in _KINDS]
    formats = (jpegs, pngs, bmps, rgba)
    mixed = [formats[i % len(formats)][i] for i in range(len(images))]
    same = TRAINING
    return [
        Request("stored_examples", "Stored examples", examples, SERVING_EXAMPLES, like=same),
        Request("stored_jpeg", "Stored JPEGs", jpegs, like=same),
        Request("png", "PNGs", pngs, like=same),
        Request("bmp", "BMPs", bmps, like=same),
        Request("rgba_png", "PNGs with an alpha channel", rgba, like=same),
        Request("gray_reference", "Gray pictures as RGB", _all(grays, "PNG", "RGB")),
        Request("gray_png", "Grayscale PNGs", _all(grays, "PNG"), like="gray_reference"),
        Request(
            "gray_jpeg", "Grayscale JPEGs", _all(grays, "JPEG"), like="gray_reference", lossy=True
        ),
        Request("gif_reference", "256-colour pictures as RGB", _all(palettes, "PNG", "RGB")),
        Request("gif", "GIFs of two frames", _gifs(palettes), like="gif_reference"),
        Request(
            "large",
            f"JPEGs of {LARGE_SIDE:,} pixels",
            [_encode(_enlarged(image), "JPEG") for image in images[:LARGE_IMAGES]],
            like=same,
            lossy=True,
        ),
        Request("tiny", "Pictures of 8 and 1 pixels", tiny),
        Request("batch_of_1", "A batch of 1", jpegs[:1], like=same),
        Request(
            f"batch_of_{BATCH}",
            f"A batch of {BATCH}",
            [jpegs[i % len(jpegs)] for i in range(BATCH)],
            like=same,
        ),
        Request("mixed_batch", "A batch of mixed formats", mixed, like=same),
        Request("garbage", "Bytes that are no picture", [_garbage()], refused=True),
        Request("empty", "An empty picture", [b""], refused=True),
        Request("truncated", "A JPEG cut in half", [jpegs[0][: len(jpegs[0]) // 2]], refused=True),
        Request("after_bad_requests", "A good request after bad ones", jpegs[:1], like=same),
    ]


_KINDS: Final = ("PNG", "JPEG")


def _encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    quality = {"quality": 95} if kind == "JPEG" else {}
    image.save(buffer, kind, **quality)
    return buffer.getvalue()


def _all(images: Sequence[Image.Image], kind: str, mode: str | None = None) -> list[bytes]:
    return [_encode(image.convert(mode) if mode else image, kind) for image in images]


def _gifs(palettes: Sequence[Image.Image]) -> list[bytes]:
    gifs = []
    for palette in palettes:
        buffer = io.BytesIO()
        second = palette.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        palette.save(buffer, "GIF", save_all=True, append_images=[second])
        gifs.append(buffer.getvalue())
    return gifs


def _enlarged(image: Image.Image) -> Image.Image:
    ratio = LARGE_SIDE / max(image.size)
    size = tuple(max(round(side * ratio), 1) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC)


def _garbage() -> bytes:
    return np.random.default_rng(0).bytes(4096)
