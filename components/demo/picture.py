"""From a clip to its pictures and labels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from components.demo.figure import body, skeleton
from components.demo.render import FAR, Buffer, Floats, ShadowMap, Shape, shade
from components.demo.scene import Actor, Clip
from schema.features import UNKNOWN_OCCLUSION, UNKNOWN_POSTURE

# Shares of a person's pixels that can be seen.
PLAIN = 0.92  # from here on not occluded
DECIDABLE = 0.50  # below it a clip is redrawn without what stands in front
HOPELESS = 0.10  # up to it nobody can tell the posture
COUNTED = 0.04  # below it the person is not counted
# The primary person has to show at least this many times the pixels of any other.
PROMINENCE = 1.35


@dataclass(frozen=True)
class Frame:
    """One picture with its labels, an empty string for blank."""

    image: Image.Image
    how_many: str
    posture: str
    occluded: str
    role: str


HOW_MANY = ("None", "One", "Two", "Three")


def draw_clip(clip: Clip, rng: np.random.Generator) -> list[Frame]:
    """Draws all frames of a clip.

    Whoever or whatever hides too much of the primary person of a `shown` clip is
    taken out, and the clip drawn again: a labelled picture can be labelled.

    Args:
      clip: the clip.
      rng: chance for noise and for labels left blank.

    Returns:
      The frames, in order.
    """
    actors, occluders = list(clip.actors), list(clip.occluders)
    while True:
        drawn = list(_buffers(clip, actors, occluders))
        if clip.kind != "shown":
            break
        worst = min((seen[0] for _, _, seen, _ in drawn if seen[0] is not None), default=1.0)
        rival = any(
            count > 0 and pixels[0] < PROMINENCE * count
            for _, _, seen, pixels in drawn
            if seen[0] is not None
            for count in pixels[1:]
        )
        if rival or (worst < DECIDABLE and len(actors) > 1 and not occluders):
            actors = actors[:-1]
        elif worst < DECIDABLE and occluders:
            occluders = []
        else:
            break
    frames: list[Frame] = []
    shadows = None
    if not clip.light.infrared:
        shadows = ShadowMap(clip.light, clip.middle, [*clip.fixed, *occluders])
    for buffer, moving, seen, _ in drawn:
        colour = shade(buffer, clip.light, shadows, moving)
        image = develop(colour, clip, rng)
        frames.append(_label(clip, actors, len(frames), seen, image, rng))
    return frames


def _buffers(
    clip: Clip, actors: list[Actor], occluders: list[Shape]
) -> Iterator[tuple[Buffer, list[Shape], list[float | None], list[int]]]:
    """Each frame's filled buffer, moving shapes, and share and count of visible pixels."""
    room = own = None
    for frame, view in enumerate(clip.views):
        if room is None or own is None or room.view is not view:
            room, own = Buffer(view), Buffer(view)
            clip.room.draw(room)
            room.draw([*clip.fixed, *occluders])
        buffer = room.copy()
        moving: list[Shape] = []
        alone: list[int] = []
        for number, actor in enumerate(actors, start=1):
            pose = actor.poses[frame]
            if pose is None:
                alone.append(0)
                continue
            shapes = body(actor.person, pose, skeleton(actor.person, pose))
            own.clear()
            own.draw(shapes, owner=number)
            own.soften()
            alone.append(int((own.t < FAR).sum()))
            buffer.merge(own)
            moving += shapes
        pixels = [int((buffer.owner == k).sum()) for k in range(1, len(actors) + 1)]
        seen = [p / a if a else None for p, a in zip(pixels, alone, strict=True)]
        yield buffer, moving, seen or [None], pixels or [0]


def _label(
    clip: Clip,
    actors: list[Actor],
    frame: int,
    seen: list[float | None],
    image: Image.Image,
    rng: np.random.Generator,
) -> Frame:
    """Reads the labels off the scene."""
    here = [share for share in seen if share is not None and share >= COUNTED]
    how_many = HOW_MANY[len(here)]
    chance = rng.random()
    first = seen[0]
    if not here:
        # Labellers left most of an empty room's cells blank.
        occluded = "No" if chance < 0.75 else ""
        return Frame(image, "None", "" if chance < 0.85 else UNKNOWN_POSTURE, occluded, "")
    primary = actors[0]
    posture = primary.postures[frame]
    if first is None or first < COUNTED:  # only others are left in the picture
        return Frame(image, how_many, UNKNOWN_POSTURE, "No", "Other")
    occluded = "No" if first >= PLAIN else "Yes"
    if clip.kind == "dark":
        return Frame(image, how_many, UNKNOWN_POSTURE, UNKNOWN_OCCLUSION, "")
    if clip.kind == "hidden":
        # Between hopeless and decidable a labeller may or may not tell: not labelled.
        posture = UNKNOWN_POSTURE if first <= HOPELESS else ""
        return Frame(image, how_many, posture, occluded, primary.role)
    if clip.lens.watermark:
        occluded = UNKNOWN_OCCLUSION
    elif chance < 0.02:
        occluded = ""
    assert posture is not None  # noqa: S101 (for the type checker)
    if 0.02 <= chance < 0.03:  # simply not labelled
        return Frame(image, how_many, "", occluded, primary.role)
    return Frame(image, how_many, posture, occluded, primary.role)


def develop(colour: Floats, clip: Clip, rng: np.random.Generator) -> Image.Image:
    """Lens, sensor and encoding curve: linear colour (3, H, W) to an RGB picture."""
    width, height = clip.size
    lens = clip.lens
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX), np.float32)
        for plane in (colour[:1] if clip.light.infrared else colour)
    ]
    picture = np.stack(planes)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    picture *= lens.exposure * (1 - lens.vignette * (x * x + y * y) / 2)
    if lens.blur:
        picture = ndimage.gaussian_filter(picture, (0, lens.blur, lens.blur))
    picture = 1 - np.exp(-1.35 * np.maximum(picture, 0))  # a soft shoulder instead of clipping
    picture = np.sqrt(picture)
    picture += rng.standard_normal(picture.shape, np.float32) * np.float32(lens.noise)
    levels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if len(levels) == 1:
        levels = np.repeat(levels, 3, axis=0)
    image = Image.fromarray(np.moveaxis(levels, 0, -1).copy())
    if lens.watermark:
        image = _watermarked(image, lens.watermark)
    return image


def _watermarked(image: Image.Image, text: str) -> Image.Image:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(size=34)
    for row in range(0, image.height, 80):
        for column in range(-40 + (row // 80 % 2) * 60, image.width, 190):
            draw.text((column, row + 20), text, fill=(255, 255, 255, 110), font=font)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")
