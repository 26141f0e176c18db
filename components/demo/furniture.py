"""Furniture as boxes and round cones, each piece at a place in the room."""

from itertools import pairwise

import numpy as np

from components.demo.render import Box, Colour, Ellipsoid, Material, RoundCone, Shape, Vector

METAL = Material((0.72, 0.74, 0.76))
LAMP = Material((0.95, 0.88, 0.70))
SEAT_HEIGHT = 0.46  # metres


def around_z(angle: float) -> Vector:
    """The rotation matrix (3, 3) by an angle in radians around the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


class Builder:
    """Collects the parts of one piece, given in its own coordinates."""

    def __init__(self, x: float, y: float, heading: float) -> None:
        """Stands the piece at (x, y) metres, its front (+y) turned by `heading` radians."""
        self.place, self.turn = np.array([x, y, 0.0]), around_z(heading)
        self.shapes: list[Shape] = []

    def at(self, *point: float) -> Vector:
        """A point of the piece in the room."""
        return self.place + self.turn @ np.array(point)

    def box(
        self, low: tuple[float, float, float], high: tuple[float, float, float], look: Material
    ) -> None:
        """Adds a box between two corners."""
        a, b = np.array(low), np.array(high)
        half = (b - a) / 2
        sides = (float(half[0]), float(half[1]), float(half[2]))
        self.shapes.append(Box(self.at(*((a + b) / 2)), sides, self.turn, look))

    def rod(
        self,
        start: tuple[float, float, float],
        end: tuple[float, float, float],
        radius: float,
        look: Material,
    ) -> None:
        """Adds a rod with round ends."""
        self.shapes.append(RoundCone(self.at(*start), self.at(*end), radius, radius, look))

    def cushion(
        self,
        centre: tuple[float, float, float],
        half: tuple[float, float, float],
        look: Material,
        tilt: float = 0.0,
    ) -> None:
        """Adds a soft ellipsoid, tilted by radians around its x axis."""
        c, s = np.cos(tilt), np.sin(tilt)
        lean = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        self.shapes.append(Ellipsoid(self.at(*centre), self.turn @ lean @ np.diag(half), look))


def bed(
    x: float,
    y: float,
    heading: float,
    *,
    top: float,
    width: float,
    backrest: float,
    hospital: bool,
    frame: Material,
    sheet: Material,
    blanket: Material | None,
    rails: tuple[bool, bool],
) -> list[Shape]:
    """A bed, two metres long, whose head end is at +y.

    Args:
      x: middle, metres.
      y: middle, metres.
      heading: turn, radians.
      top: height of the mattress's upper side, metres.
      width: metres.
      backrest: how far the head part is raised, radians.
      hospital: wheels, rails and panels instead of four posts.
      frame: look of frame and panels.
      sheet: look of mattress and pillow.
      blanket: spread over the foot part; None for a bare sheet.
      rails: whether the left (-x) and right rails are up.

    Returns:
      The shapes.
    """
    b = Builder(x, y, heading)
    w = width / 2
    b.box((-w, -1.02, top - 0.30), (w, 1.02, top - 0.16), frame)
    foot = 0.25 if backrest > 0.05 else 1.0
    b.box((-w + 0.02, -1.0, top - 0.16), (w - 0.02, foot, top), sheet)
    c, s = np.cos(backrest), np.sin(backrest)
    if backrest > 0.05:
        middle = b.at(0, foot + 0.375 * c + 0.08 * s, top + 0.375 * s - 0.08 * c)
        tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        b.shapes.append(Box(middle, (w - 0.02, 0.375, 0.08), b.turn @ tilt, sheet))
        b.cushion((0, foot + 0.58 * c, top + 0.58 * s + 0.03), (0.31, 0.19, 0.07), sheet, backrest)
    else:
        b.cushion((0, 0.76, top + 0.03), (0.31, 0.19, 0.07), sheet)
    high = top + (0.32 if hospital else 0.45)
    b.box((-w, 1.02, 0.25), (w, 1.07, high), frame)
    b.box((-w, -1.07, 0.25), (w, -1.02, top + (0.16 if hospital else 0.08)), frame)
    if blanket is not None:
        b.box((-w - 0.01, -1.01, top - 0.22), (w + 0.01, -0.05, top + 0.025), blanket)
    for side, up in zip((-w, w), rails, strict=True):
        if up and hospital:
            for z in (0.10, 0.20, 0.30):
                b.rod((side, -0.25, top + z), (side, 0.75, top + z), 0.012, METAL)
            for along in (-0.25, 0.08, 0.42, 0.75):
                b.rod((side, along, top - 0.2), (side, along, top + 0.30), 0.012, METAL)
        for along in (-0.95, 0.95):
            leg = METAL if hospital else frame
            b.rod((side * 0.93, along, 0.05), (side * 0.93, along, top - 0.2), 0.035, leg)
    return b.shapes


def chair(
    x: float, y: float, heading: float, *, style: str, frame: Material, cover: Material
) -> list[Shape]:
    """A seat that looks to +y; `style` is plain, armchair, stool or wheelchair."""
    b = Builder(x, y, heading)
    z = SEAT_HEIGHT
    if style == "armchair":
        b.box((-0.30, -0.30, 0.12), (0.30, 0.30, z), cover)
        b.box((-0.30, -0.42, 0.12), (0.30, -0.27, 1.0), cover)
        for side in (-0.37, 0.37):
            b.box((side - 0.07, -0.40, 0.08), (side + 0.07, 0.28, z + 0.18), cover)
            b.rod((side, -0.38, z + 0.18), (side, 0.26, z + 0.18), 0.07, cover)
        return b.shapes
    if style == "stool":
        b.rod((0, 0, z - 0.035), (0, 0, z - 0.03), 0.03, frame)
        b.cushion((0, 0, z - 0.04), (0.2, 0.2, 0.05), cover)
        b.rod((0, 0, 0.06), (0, 0, z - 0.06), 0.025, METAL)
        for k in range(5):
            a = 2 * np.pi * k / 5
            b.rod((0, 0, 0.09), (0.26 * np.cos(a), 0.26 * np.sin(a), 0.05), 0.02, METAL)
        return b.shapes
    b.box((-0.23, -0.23, z - 0.06), (0.23, 0.23, z), cover)
    b.box((-0.22, -0.27, z + 0.12), (0.22, -0.22, z + 0.48), cover)
    for side in (-0.21, 0.21):
        b.rod((side, -0.25, 0.03), (side, -0.26, z + 0.48), 0.018, frame)
        b.rod((side, 0.21, 0.03), (side, 0.21, z - 0.03), 0.018, frame)
    if style == "wheelchair":
        for side in (-0.29, 0.29):
            ring = [
                (side, -0.10 + 0.30 * np.cos(a), 0.31 + 0.30 * np.sin(a))
                for a in np.linspace(0, 2 * np.pi, 15)
            ]
            for start, end in pairwise(ring):
                b.rod(start, end, 0.016, Material((0.12, 0.12, 0.13)))
            b.rod((side, -0.25, z + 0.22), (side, 0.20, z + 0.22), 0.025, frame)
            b.rod((side, 0.40, 0.07), (side, 0.40, 0.08), 0.06, Material((0.12, 0.12, 0.13)))
            b.rod((side * 0.8, -0.25, z + 0.48), (side * 0.8, -0.38, z + 0.46), 0.018, frame)
    return b.shapes


def cabinet(
    x: float, y: float, heading: float, *, height: float, look: Material, lamp: bool = True
) -> list[Shape]:
    """A bedside cabinet with drawers at +y and something on it."""
    b = Builder(x, y, heading)
    b.box((-0.23, -0.22, 0.05), (0.23, 0.22, height), look)
    dark = Material((look.colour[0] * 0.8, look.colour[1] * 0.8, look.colour[2] * 0.8))
    for low in np.arange(0.1, height - 0.15, 0.22):
        b.box((-0.20, 0.22, float(low)), (0.20, 0.235, float(low) + 0.18), dark)
    b.rod((-0.1, 0, height), (-0.1, 0, height + 0.10), 0.035, Material((0.85, 0.87, 0.9)))
    if lamp:
        b.rod((0.1, 0, height), (0.1, 0, height + 0.2), 0.015, dark)
        shade = RoundCone(
            b.at(0.1, 0, height + 0.2), b.at(0.1, 0, height + 0.32), 0.085, 0.045, LAMP
        )
        b.shapes.append(shade)
    return b.shapes


def overbed_table(x: float, y: float, heading: float, look: Material) -> list[Shape]:
    """A table on one foot, as it is pushed over a bed."""
    b = Builder(x, y, heading)
    b.box((-0.42, -0.20, 0.86), (0.42, 0.20, 0.90), look)
    b.box((-0.40, -0.04, 0.05), (-0.34, 0.04, 0.86), METAL)
    b.box((-0.42, -0.25, 0.03), (0.25, 0.25, 0.07), METAL)
    b.rod((0.1, 0, 0.90), (0.1, 0, 0.99), 0.035, Material((0.9, 0.9, 0.95)))
    return b.shapes


def drip_stand(x: float, y: float) -> list[Shape]:
    """A pole on wheels with a bag."""
    b = Builder(x, y, 0.3)
    b.rod((0, 0, 0.06), (0, 0, 1.95), 0.014, METAL)
    for k in range(5):
        a = 2 * np.pi * k / 5
        b.rod((0, 0, 0.10), (0.28 * np.cos(a), 0.28 * np.sin(a), 0.05), 0.018, METAL)
    b.rod((-0.14, 0, 1.92), (0.14, 0, 1.92), 0.01, METAL)
    b.cushion((0.14, 0, 1.74), (0.06, 0.03, 0.13), Material((0.86, 0.88, 0.84)))
    b.box((-0.07, -0.06, 1.15), (0.07, 0.06, 1.38), Material((0.8, 0.82, 0.86)))
    return b.shapes


def curtain(start: Vector, end: Vector, low: float, look: Material) -> list[Shape]:
    """A hanging curtain from `start` to `end` (x, y), from height `low` to the rail at 2.25 m."""
    middle, along = (start + end) / 2, end - start
    b = Builder(float(middle[0]), float(middle[1]), float(np.arctan2(along[1], along[0])))
    half = float(np.linalg.norm(along)) / 2
    b.box((-half, -0.03, low), (half, 0.03, 2.2), look)
    b.rod((-half - 0.1, 0, 2.24), (half + 0.1, 0, 2.24), 0.015, METAL)
    return b.shapes


def shade_of(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter, kept in range."""
    r, g, b = (min(max(c * factor, 0.0), 1.0) for c in colour)
    return (r, g, b)
