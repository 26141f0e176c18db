"""A small ray caster: round cones, ellipsoids and boxes into a depth buffer, then light.

Every shape is intersected exactly with the rays of the pixels inside its bounds,
so that limbs, furniture and blankets hide each other as they do in a room, and
the share of a person that is hidden can be counted instead of guessed.

Metres, z up. Arrays of vectors are planes first: (3, ...), float32.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Vector = NDArray[np.float64]
Colour = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "checks", "dots", "planks", "tiles", "folds", "head"]

NEAR: Final = 0.15  # nothing nearer to the camera is drawn, metres
FAR: Final = np.float32(1e6)  # depth where no shape is hit
NOBODY: Final = 0  # owner of the pixels that show furniture or room


@dataclass(frozen=True)
class Material:
    """How a surface looks. Colours are sRGB, 0 to 1; above 1 shines back at the lamp."""

    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: Pattern = "plain"
    scale: float = 0.1  # of the pattern, metres (on a head: the hairline, cosine)
    eyes: Colour = (0.05, 0.04, 0.04)

    def albedo(self, local: Floats) -> Floats:
        """Linear colour, (3, N), at points given in the shape's own coordinates (3, N)."""
        x, y, z = local
        if self.pattern == "head":
            return self._head(local)
        if self.pattern == "plain":
            return np.broadcast_to(_linear(self.colour), local.shape)
        if self.pattern == "stripes":
            share = (np.sin(x * (2 * np.pi / self.scale)) > 0.35).astype(np.float32)
        elif self.pattern == "checks":
            share = 0.5 * (np.sin(x * (2 * np.pi / self.scale)) > 0) + 0.5 * (
                np.sin((y + z) * (2 * np.pi / self.scale)) > 0
            )
        elif self.pattern == "dots":
            u, v = x / self.scale, (y + z) / self.scale
            share = ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.06).astype(np.float32)
        elif self.pattern == "planks":
            board = np.floor(x / self.scale)
            seam = (x / self.scale % 1 < 0.04) | ((y / 1.2 + board * 0.37) % 1 < 0.008)
            share = np.where(seam, 1.0, 0.35 * (np.sin(board * 12.9898) * 43758.5 % 1))
        elif self.pattern == "tiles":
            share = ((x / self.scale % 1 < 0.03) | (y / self.scale % 1 < 0.03)).astype(np.float32)
        else:  # folds of a curtain
            share = 0.5 + 0.5 * np.sin(x * (2 * np.pi / self.scale) + 1.3 * np.sin(x * 9.0))
        share = np.asarray(share, np.float32)
        return _linear(self.colour) * (1 - share) + _linear(self.second) * share

    def _head(self, local: Floats) -> Floats:
        """Hair above and behind the hairline, a face with eyes, brows and mouth before it."""
        side, front, up = local
        out = np.repeat(_linear(self.colour), local.shape[1], axis=1)
        face = (front > 0.2) & (np.abs(side) < 0.75)
        mouth = face & (np.abs(up + 0.5) < 0.06) & (np.abs(side) < 0.26)
        out[:, mouth] *= np.float32(0.45)
        for centre in (-0.36, 0.36):
            socket = face & ((side - centre) ** 2 / 2.2 + (up - 0.06) ** 2 < 0.011)
            out[:, socket] = _linear(self.eyes)
            brow = face & (np.abs(up - 0.3) < 0.05) & (np.abs(side - centre) < 0.2)
            out[:, brow] = 0.5 * _linear(self.second) + 0.2 * out[:, brow]
        hair = up * 0.75 - front * 0.66 > self.scale
        out[:, hair] = _linear(self.second)
        return out


def _linear(colour: Colour) -> Floats:
    # A gamma of 2 for sRGB's 2.2: a root is ten times faster than a power.
    return (np.asarray(colour, np.float32) ** 2).reshape(3, 1)


class Hits:
    """Where rays meet a shape: ray indices, distances, normals and local points."""

    def __init__(self, rays: NDArray[np.intp], t: Floats, normal: Floats, local: Floats) -> None:
        self.rays, self.t, self.normal, self.local = rays, t, normal, local


class Shape(Protocol):
    """What the depth buffer can draw."""

    @property
    def material(self) -> Material:
        """How its surface looks."""
        ...

    def bounds(self) -> list[tuple[Vector, float]]:
        """Spheres (centre, radius) whose hull contains the shape."""
        ...

    def hits(self, origin: Floats, direction: Floats) -> Hits:
        """Meets rays (3, N) or (3, 1); directions are of length 1."""
        ...


def _dot(a: Floats, b: Floats) -> Floats:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _column(v: Vector) -> Floats:
    return np.asarray(v, np.float32).reshape(3, 1)


@dataclass(frozen=True)
class RoundCone:
    """The hull of two spheres: a limb, a rail, a leg of a chair."""

    start: Vector
    end: Vector
    start_radius: float
    end_radius: float
    material: Material

    def bounds(self) -> list[tuple[Vector, float]]:
        """See `Shape`."""
        return [(self.start, self.start_radius), (self.end, self.end_radius)]

    def hits(self, origin: Floats, direction: Floats) -> Hits:
        """See `Shape`."""
        rays = max(origin.shape[1], direction.shape[1])
        return cone_hits([self], np.zeros(rays, np.intp), origin, direction)


def cone_hits(
    cones: Sequence[RoundCone], which: NDArray[np.intp], origin: Floats, direction: Floats
) -> Hits:
    """Meets each ray with one of many cones, all at once.

    A person is sixty cones of some hundred pixels each: one by one, calling NumPy
    takes longer than the arithmetic.

    The flank is a cone around the axis, the ends are spheres. With y along the
    axis, the foot f of a surface point (the centre of the sphere that touches it)
    has radius ra - k f, and y = f + k (ra - k f), k being the sine of the cone's
    half angle. Putting the ray into distance_from_axis = (ra - k y) / c, c the
    cosine, gives a quadratic in t.

    Args:
      cones: the cones.
      which: the cone of each ray, (N,).
      origin: (3, N) or (3, 1).
      direction: of length 1, (3, N) or (3, 1).

    Returns:
      The rays that hit their cone.
    """
    starts = np.array([cone.start for cone in cones])
    ends = np.array([cone.end for cone in cones])
    first_radii = np.array([cone.start_radius for cone in cones])
    last_radii = np.array([cone.end_radius for cone in cones])
    # A sphere that swallows the other is all there is: a cone from it to itself.
    spans = np.sqrt(((ends - starts) ** 2).sum(axis=1))
    larger = first_radii >= last_radii
    swallowed = spans <= np.abs(first_radii - last_radii) * 1.001
    starts[swallowed & ~larger] = ends[swallowed & ~larger]
    ends[swallowed & larger] = starts[swallowed & larger]
    first_radii[swallowed] = last_radii[swallowed] = np.maximum(first_radii, last_radii)[swallowed]
    axes = ends - starts
    spans = np.sqrt((axes**2).sum(axis=1))
    units = (axes / np.maximum(spans, 1e-9)[:, None]).T.astype(np.float32)
    lengths = np.maximum(spans, 1e-4)
    sines = (first_radii - last_radii) / lengths
    starts = starts.T
    length, ra, rb, k, c2 = (
        v.astype(np.float32)[which]
        for v in (lengths, first_radii, last_radii, sines, 1 - sines * sines)
    )
    unit = units[:, which]
    if origin.shape[1] == 1:  # the camera: what depends on it alone is the same for a cone
        from_start = (origin - starts).astype(np.float32)
        oa = from_start[:, which]
        y0, oo = _dot(units, from_start)[which], _dot(from_start, from_start)[which]
    else:
        oa = (origin - starts[:, which]).astype(np.float32)
        y0, oo = _dot(unit, oa), _dot(oa, oa)

    dy, od = _dot(unit, direction), _dot(oa, direction)
    w = ra - k * y0
    qa = np.asarray(1 - dy * dy / c2, np.float32)
    qb = od - y0 * dy + k * dy * w / c2
    qc = oo - y0 * y0 - w * w / c2
    # The other end's centre lies `length` along the axis.
    od_end, oo_end = od - length * dy, oo - 2 * length * y0 + length * length
    flank = np.asarray(qb * qb - qa * qc, np.float32)
    first = np.asarray(od * od - oo + ra * ra, np.float32)
    last = np.asarray(od_end * od_end - oo_end + rb * rb, np.float32)
    rays = np.flatnonzero((flank > 0) | (first > 0) | (last > 0))
    near = (y0, dy, od, od_end, qa, qb, k, c2, ra, length, flank, first, last)
    y0, dy, od, od_end, qa, qb, k, c2, ra, length, flank, first, last = (
        np.asarray(v[rays], np.float32) for v in near
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (-qb - np.sqrt(flank)) / qa
        foot = (y0 + t * dy - k * ra) / c2
        t = np.where((foot >= 0) & (foot <= length) & (t > NEAR), t, FAR)
        first = -od - np.sqrt(first)
        first = np.where(first > NEAR, first, FAR)
        last = -od_end - np.sqrt(last)
        last = np.where(last > NEAR, last, FAR)
    caps = np.minimum(first, last)
    foot = np.where(t <= caps, foot, np.where(first < last, 0, length))
    t = np.minimum(t, caps)
    met = np.flatnonzero(t < FAR)
    rays, t, foot = rays[met], t[met], foot[met]
    normal = oa[:, rays] + t * _at(direction, rays) - unit[:, rays] * foot
    normal /= np.sqrt(_dot(normal, normal)) + np.float32(1e-9)
    around = np.arctan2(normal[0], normal[1]) * np.float32(0.1)
    return Hits(rays, t, normal, np.stack([around, np.zeros_like(foot), foot]))


@dataclass(frozen=True)
class Ellipsoid:
    """A head, a pillow, a belly. `axes` holds the half axes as columns, right-handed."""

    centre: Vector
    axes: Vector
    material: Material

    def bounds(self) -> list[tuple[Vector, float]]:
        """See `Shape`."""
        return [(self.centre, float(np.linalg.norm(self.axes, axis=0).max()))]

    def hits(self, origin: Floats, direction: Floats) -> Hits:
        """See `Shape`."""
        # The axes are at right angles, so that the inverse is a scaled transpose.
        into = (self.axes / (self.axes**2).sum(axis=0)).T.astype(np.float32)
        o, d = _turn(into, origin - _column(self.centre)), _turn(into, direction)
        dd, od = _dot(d, d), _dot(o, d)
        with np.errstate(invalid="ignore"):
            t = (-od - np.sqrt(od * od - dd * (_dot(o, o) - 1))) / dd
        rays = np.flatnonzero(t > NEAR)
        t = t[rays]
        local = _at(o, rays) + t * _at(d, rays)
        normal = _turn(into.T, local)
        normal /= np.sqrt(_dot(normal, normal))
        return Hits(rays, t, normal, local)


@dataclass(frozen=True)
class Box:
    """A box of half sides `half` whose axes are the columns of the rotation `turn`."""

    centre: Vector
    half: tuple[float, float, float]
    turn: Vector
    material: Material

    def bounds(self) -> list[tuple[Vector, float]]:
        """See `Shape`."""
        corners = np.array(np.meshgrid(*[(-h, h) for h in self.half])).reshape(3, 8)
        return [(self.centre + self.turn @ corner, 0.0) for corner in corners.T]

    def hits(self, origin: Floats, direction: Floats) -> Hits:
        """See `Shape`."""
        into = self.turn.T.astype(np.float32)
        o, d = _turn(into, origin - _column(self.centre)), _turn(into, direction)
        half = np.asarray(self.half, np.float32).reshape(3, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / np.where(np.abs(d) < 1e-7, np.float32(1e-7), d)
        middle, extent = -o * inverse, np.abs(inverse) * half
        near = middle - extent
        t = near.max(axis=0)
        rays = np.flatnonzero((t < (middle + extent).min(axis=0)) & (t > NEAR))
        t = t[rays]
        side = _at(near, rays).argmax(axis=0)
        inner = np.broadcast_to(_at(d, rays), (3, rays.size))
        normal = np.zeros((3, rays.size), np.float32)
        columns = np.arange(rays.size)
        normal[side, columns] = -np.sign(inner[side, columns])
        local = _at(o, rays) + t * inner
        # A pattern runs along the face, whichever way the face looks.
        local = np.where(side == 0, local[[1, 2, 0]], local)
        return Hits(rays, t, _turn(self.turn.astype(np.float32), normal), local)


def _turn(matrix: Floats, v: Floats) -> Floats:
    # Spelt out: a matrix product would start the BLAS threads, one pool in each process.
    return np.stack(
        [row[0] * v[0] + row[1] * v[1] + row[2] * v[2] for row in matrix.astype(np.float32)]
    )


def _at(v: Floats, rays: NDArray[np.intp]) -> Floats:
    """Picks rays out of (..., N); what is the same for all rays, (..., 1), stays as it is."""
    return v if v.shape[-1] == 1 else v[..., rays]


class View:
    """Rays of a picture: a pinhole camera, or the parallel rays of a lamp far away."""

    def __init__(
        self,
        eye: Vector,
        target: Vector,
        size: tuple[int, int],
        *,
        field: float,
        parallel: bool = False,
        roll: float = 0.0,
    ) -> None:
        """Sets the view up.

        Args:
          eye: position of the camera, metres.
          target: what the middle of the picture shows.
          size: width and height, pixels.
          field: half the picture's width at distance 1 (at any distance if
            parallel), metres.
          parallel: rays do not spread.
          roll: turn of the camera around its axis, radians.
        """
        self.width, self.height = size
        forward = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        right, down = (
            right * np.cos(roll) + down * np.sin(roll),
            down * np.cos(roll) - right * np.sin(roll),
        )
        self.eye, self.forward, self.right, self.down = eye, forward, right, down
        self.parallel = parallel
        self.focal = self.width / 2 / field  # pixels a metre at distance 1
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(self.height, dtype=np.float32) + 0.5 - self.height / 2) / self.focal
        plane = np.asarray(
            _column(right)[:, :, None] * x[None, None, :]
            + _column(down)[:, :, None] * y[None, :, None],
            np.float32,
        )
        self.numbers = np.arange(self.width * self.height).reshape(self.height, self.width)
        if parallel:
            self.origin = plane + _column(eye)[:, :, None]
            self.direction = _column(forward)[:, :, None]
        else:
            self.origin = _column(eye)[:, :, None]
            ray: Floats = plane + _column(forward)[:, :, None]
            self.direction = ray / np.sqrt(_dot(ray, ray))

    def project(self, points: Vector) -> Vector:
        """Pixel columns and rows and depths, (3, N), of points (N, 3)."""
        offset = points - self.eye
        depth = offset @ self.forward
        scale = self.focal / (1.0 if self.parallel else np.maximum(depth, 1e-3))
        return np.stack(
            [
                offset @ self.right * scale + self.width / 2,
                offset @ self.down * scale + self.height / 2,
                depth,
            ]
        )

    def rays(self, pixels: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Origins and directions, (3, N) or (3, 1), of the rays of pixels by number."""
        origin, direction = self.origin.reshape(3, -1), self.direction.reshape(3, -1)
        return _at(origin, pixels), _at(direction, pixels)

    def window(self, spheres: list[tuple[Vector, float]]) -> tuple[slice, slice] | None:
        """Rows and columns that can show the hull of the spheres; None if none can."""
        # Plain floats: for one or two points they are ten times faster than arrays.
        ex, ey, ez = self.eye.tolist()
        axes = (self.right.tolist(), self.down.tolist(), self.forward.tolist())
        left = top = math.inf
        right = bottom = -math.inf
        seen = False
        for centre, radius in spheres:
            px, py, pz = centre.tolist()
            px, py, pz = px - ex, py - ey, pz - ez
            x, y, depth = (px * ax + py * ay + pz * az for ax, ay, az in axes)
            seen |= depth + radius >= NEAR
            scale, reach = self.focal, radius * self.focal
            if not self.parallel:
                if depth - radius < NEAR:
                    left = top = -math.inf
                    right = bottom = math.inf
                    continue
                scale /= depth
                # 1.25: a sphere beside the axis looks longer than wide.
                reach *= 1.25 / (depth - radius)
            left, right = min(left, x * scale - reach), max(right, x * scale + reach)
            top, bottom = min(top, y * scale - reach), max(bottom, y * scale + reach)
        if not seen:
            return None
        first_row = max(math.floor(max(top, -self.height) + self.height / 2) - 1, 0)
        last_row = min(math.ceil(min(bottom, self.height) + self.height / 2) + 1, self.height)
        first_column = max(math.floor(max(left, -self.width) + self.width / 2) - 1, 0)
        last_column = min(math.ceil(min(right, self.width) + self.width / 2) + 1, self.width)
        if first_row >= last_row or first_column >= last_column:
            return None
        return slice(first_row, last_row), slice(first_column, last_column)


class Buffer:
    """Depth of every pixel, and what is there if it is more than a shadow buffer.

    Pixels are in one row, (N,) or (3, N): an index into them is cheaper than two.
    """

    def __init__(self, view: View, *, depth_only: bool = False) -> None:
        self.view, self.depth_only = view, depth_only
        pixels = view.width * view.height
        self.t = np.full(pixels, FAR, np.float32)
        planes = 0 if depth_only else pixels
        self.owner = np.zeros(planes, np.uint8)
        self.normal = np.zeros((3, planes), np.float32)
        self.albedo = np.zeros((3, planes), np.float32)

    def copy(self) -> "Buffer":
        """An independent copy, to draw moving things over fixed ones."""
        other = Buffer.__new__(Buffer)
        other.view, other.depth_only = self.view, self.depth_only
        other.t, other.owner = self.t.copy(), self.owner.copy()
        other.normal, other.albedo = self.normal.copy(), self.albedo.copy()
        return other

    def clear(self) -> None:
        """Empties it: cheaper than a new one, whose memory has to be fetched."""
        self.t.fill(FAR)
        self.owner.fill(NOBODY)
        self.normal.fill(0)

    def draw(self, shapes: Sequence[Shape], owner: int = NOBODY) -> None:
        """Draws shapes where they are nearer than what is there."""
        cones: list[RoundCone] = []
        windows: list[NDArray[np.intp]] = []
        for shape in shapes:
            window = self.view.window(shape.bounds())
            if window is None:
                continue
            pixels = self.view.numbers[window].ravel()
            if isinstance(shape, RoundCone):
                cones.append(shape)
                windows.append(pixels)
            else:
                hits = shape.hits(*self.view.rays(pixels))
                self._put(pixels[hits.rays], hits, owner, shape.material)
        if cones:
            pixels = np.concatenate(windows)
            which = np.repeat(np.arange(len(cones)), [len(window) for window in windows])
            hits = cone_hits(cones, which, *self.view.rays(pixels))
            looks = [cone.material for cone in cones]
            self._put(pixels[hits.rays], hits, owner, looks, which[hits.rays])

    def _put(
        self,
        pixels: NDArray[np.intp],
        hits: Hits,
        owner: int,
        look: Material | list[Material],
        which: NDArray[np.intp] | None = None,
    ) -> None:
        """Writes the nearest hit of each pixel; a pixel may be hit several times."""
        np.minimum.at(self.t, pixels, hits.t)
        if self.depth_only:
            return
        nearest = np.flatnonzero(hits.t <= self.t[pixels])
        pixels, local = pixels[nearest], hits.local[:, nearest]
        self.owner[pixels] = owner
        if isinstance(look, Material):
            albedo = look.albedo(local)
        else:
            assert which is not None  # noqa: S101 (for the type checker)
            which = which[nearest]
            albedo = np.concatenate([_linear(one.colour) for one in look], axis=1)[:, which]
            for number, one in enumerate(look):
                if one.pattern != "plain":
                    own = np.flatnonzero(which == number)
                    albedo[:, own] = one.albedo(local[:, own])
        for plane in range(3):
            self.normal[plane][pixels] = hits.normal[plane][nearest]
            self.albedo[plane][pixels] = albedo[plane]

    def soften(self) -> None:
        """Rounds the creases between the shapes of what is drawn: cloth lies over them."""
        shape = (self.view.height, self.view.width)
        seen = (self.t < FAR).reshape(shape)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if rows.size == 0:
            return
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        # A thirtieth of the figure, so that near and far people look alike.
        side = max(3, (rows[-1] - rows[0] + columns[-1] - columns[0]) // 60 * 2 + 1)
        for plane in self.normal:
            part = plane.reshape(shape)[box]
            part[:] = ndimage.uniform_filter(part, side, mode="constant")
        pixels = np.flatnonzero(seen)
        normal = self.normal[:, pixels]
        self.normal[:, pixels] = normal / (np.sqrt(_dot(normal, normal)) + np.float32(1e-6))

    def merge(self, other: "Buffer") -> None:
        """Takes over the pixels where another buffer of the same view is nearer."""
        pixels = np.flatnonzero(other.t < self.t)
        self.t[pixels] = other.t[pixels]
        self.owner[pixels] = other.owner[pixels]
        for mine, theirs in ((self.normal, other.normal), (self.albedo, other.albedo)):
            for plane in range(3):
                mine[plane][pixels] = theirs[plane][pixels]


@dataclass(frozen=True)
class Room:
    """An empty room seen from inside, with what is painted on its walls.

    `panels` are rectangles on the walls: axis (0: the walls at the ends of x,
    1: of y), which end (0 or 1), along from, along to, low, high, material.
    """

    low: Vector
    high: Vector
    floor: Material
    wall: Material
    dado: Material
    dado_height: float
    ceiling: Material
    panels: tuple[tuple[int, int, float, float, float, float, Material], ...]

    def draw(self, buffer: Buffer) -> None:
        """Fills every pixel; the camera has to be inside."""
        view = buffer.view
        o, d = view.origin.reshape(3, 1), view.direction.reshape(3, -1)
        bound = np.where(d > 0, _column(self.high), _column(self.low))
        t = (bound - o) / np.where(np.abs(d) < 1e-7, np.float32(1e-7), d)
        axis = t.argmin(axis=0)
        buffer.t = t.min(axis=0)
        point = np.asarray(o + buffer.t * d, np.float32)

        def paint(pixels: NDArray[np.intp], material: Material, wall: int) -> None:
            along = point[:, pixels]
            buffer.albedo[:, pixels] = material.albedo(along[[1, 0, 2]] if wall == 0 else along)

        for a in range(3):
            face = np.flatnonzero(axis == a)
            buffer.normal[a][face] = -np.sign(d[a][face])
            if a == 2:
                down = d[2][face] < 0
                paint(face[down], self.floor, a)
                paint(face[~down], self.ceiling, a)
                continue
            z, along = point[2][face], point[1 - a][face]
            paint(face[z >= self.dado_height], self.wall, a)
            paint(face[z < self.dado_height], self.dado, a)
            buffer.albedo[:, face[z < 0.09]] *= np.float32(0.6)  # skirting board
            for wall, end, left, right, bottom, top, material in self.panels:
                if wall == a:
                    inside = ((d[a][face] > 0) == bool(end)) & (along > left) & (along < right)
                    paint(face[inside & (z > bottom) & (z < top)], material, a)


@dataclass(frozen=True)
class Light:
    """The lamp or window that throws shadows, the light from all sides, the camera's own."""

    towards: Vector  # from the room to the lamp, length 1
    key: float
    ambient: float
    headlight: float  # a near-infrared lamp at the camera; falls off with distance
    warmth: float  # red against blue, around 0
    infrared: bool


class ShadowMap:
    """Which points the lamp sees."""

    SIDE: Final = 128
    REACH: Final = 2.9  # metres around the middle of the scene

    def __init__(self, light: Light, middle: Vector, shapes: list[Shape]) -> None:
        self.middle = middle
        eye = middle + light.towards * 8.0
        self.view = View(
            eye, middle, (self.SIDE, self.SIDE), field=self.REACH, parallel=True, roll=0.0
        )
        self.fixed = Buffer(self.view, depth_only=True)
        self.fixed.draw(shapes)

    def with_shapes(self, shapes: list[Shape]) -> Floats:
        """Depths (SIDE, SIDE) with moving shapes added."""
        moving = self.fixed.copy()
        moving.draw(shapes)
        return moving.t.reshape(self.SIDE, self.SIDE)

    def lit(self, depths: Floats, points: Floats) -> Floats:
        """Share of the lamp seen from points (3, H, W), 0 to 1, soft at the edges."""
        offset = points - _column(self.view.eye)[:, :, None]
        scale = np.float32(self.view.focal)
        x = _dot(_column(self.view.right), offset) * scale + self.SIDE / 2
        y = _dot(_column(self.view.down), offset) * scale + self.SIDE / 2
        depth = _dot(_column(self.view.forward), offset) - np.float32(0.06)
        seen = np.zeros_like(depth)
        for dx, dy in ((-1.1, -0.4), (0.4, -1.1), (1.1, 0.4), (-0.4, 1.1), (0.0, 0.0)):
            column = np.clip(x + dx, 0, self.SIDE - 1).astype(np.intp)
            row = np.clip(y + dy, 0, self.SIDE - 1).astype(np.intp)
            seen += depths[row, column] > depth
        return seen / 5


def _doubled(half: Floats, size: tuple[int, int]) -> Floats:
    """A plane of half the height and width brought back to full size."""
    return half.repeat(2, axis=0).repeat(2, axis=1)[: size[0], : size[1]]


def shade(buffer: Buffer, light: Light, shadows: ShadowMap | None, moving: list[Shape]) -> Floats:
    """Lights a filled buffer.

    Args:
      buffer: what the camera sees.
      light: the room's light.
      shadows: the shadow map of the fixed things; None under infrared light, whose
        lamp is beside the lens, so that it sees no shadows.
      moving: the shapes that are not in it.

    Returns:
      Linear colour, (3, H, W), float32, not clipped.
    """
    view = buffer.view
    size = (view.height, view.width)
    n, albedo = (v.reshape(3, *size) for v in (buffer.normal, buffer.albedo))
    depth = buffer.t.reshape(size)
    # A small gap in depth darkens what is behind it, as a corner or a body on a bed does
    # (unsharp masking of the depth buffer, Luft, Colditz and Deussen 2006).
    half = depth[::2, ::2]
    side = view.height // 52
    gap = half - ndimage.uniform_filter(ndimage.uniform_filter(half, side), side)
    open_sky = _doubled(1 - np.clip(gap * 1.3, 0, 0.16), size)

    facing = np.maximum(-_dot(n, view.direction), 0)
    if shadows is None:
        near = np.clip(2.6 / np.maximum(depth, 0.8), 0, 2.5) ** 1.8
        strength = light.ambient * open_sky + light.headlight * near * (0.1 + 0.9 * facing)
        grey = 0.30 * albedo[0] + 0.59 * albedo[1] + 0.11 * albedo[2]
        # Dyes are transparent to near-infrared: cloth and skin are brighter, colours gone.
        return np.repeat(((0.03 + 0.97 * grey**0.8) * strength)[None], 3, axis=0)
    coarse = view.eye.astype(np.float32).reshape(3, 1, 1) + (
        depth[::2, ::2] * view.direction[:, ::2, ::2]
    )
    lit = shadows.lit(shadows.with_shapes(moving), coarse)
    lit = _doubled(ndimage.uniform_filter(lit, 3), size)
    key = np.maximum(_dot(n, _column(light.towards)), 0) * lit
    strength = (
        light.ambient * (0.75 + 0.25 * n[2]) * open_sky
        + light.key * key
        + light.headlight * facing * open_sky
    )
    tint = np.array([1 + light.warmth, 1.0, 1 - light.warmth], np.float32).reshape(3, 1, 1)
    return albedo * strength * tint
