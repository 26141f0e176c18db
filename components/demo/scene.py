"""What is in a clip: room, furniture, people with a pose a frame, camera, light.

A label is decided first, and the scene is built to show it. Only what cannot be
known before drawing (how much of a person is hidden) is measured on the picture.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from components.demo import furniture, people
from components.demo.figure import Person, Pose, skeleton
from components.demo.render import Box, Colour, Light, Material, Pattern, Room, Shape, Vector, View

Rng = np.random.Generator
Kind = Literal["shown", "empty", "hidden", "dark"]
SITTING, STANDING, LYING = "Sitting", "Standing", "Lying"  # what people can be drawn in


@dataclass(frozen=True)
class Style:
    """The character of a tranche: its rooms, cameras, light and mix of labels."""

    number: int
    folder: str
    image_column: str
    has_exception_case: bool
    extensions: dict[str, float]
    size: tuple[int, int]  # pixels
    camera_height: tuple[float, float]  # metres
    infrared: float  # share of clips
    hospital: bool
    walls: tuple[Colour, ...]
    floors: tuple[tuple[Colour, Colour, Pattern, float], ...]
    woods: tuple[Colour, ...]
    postures: dict[str, float]  # shares among the frames with a known posture
    occluders: float  # share of clips with something in front


STYLES: Final = (
    Style(
        number=1,
        folder="home",
        image_column="file_name",
        has_exception_case=False,
        extensions={"png": 0.53, "jpg": 0.36, "PNG": 0.09, "JPG": 0.01, "jpeg": 0.01},
        size=(320, 240),
        camera_height=(1.0, 1.4),
        infrared=0.06,
        hospital=False,
        walls=((0.86, 0.78, 0.64), (0.80, 0.70, 0.62), (0.72, 0.76, 0.66), (0.88, 0.84, 0.76)),
        floors=(
            ((0.55, 0.38, 0.24), (0.38, 0.25, 0.15), "planks", 0.14),
            ((0.66, 0.50, 0.34), (0.48, 0.35, 0.22), "planks", 0.11),
            ((0.52, 0.44, 0.42), (0.45, 0.36, 0.34), "checks", 0.25),
        ),
        woods=((0.45, 0.28, 0.16), (0.60, 0.42, 0.26), (0.30, 0.19, 0.12)),
        postures={SITTING: 0.27, STANDING: 0.50, LYING: 0.23},
        occluders=0.1,
    ),
    Style(
        number=2,
        folder="tranch2",
        image_column="final_url",
        has_exception_case=False,
        extensions={"png": 0.45, "PNG": 0.36, "jpg": 0.17, "jpeg": 0.01, "JPG": 0.01},
        size=(320, 256),
        camera_height=(1.6, 2.0),
        infrared=0.08,
        hospital=True,
        walls=((0.74, 0.83, 0.82), (0.82, 0.86, 0.84), (0.76, 0.82, 0.88)),
        floors=(
            ((0.62, 0.66, 0.66), (0.50, 0.54, 0.55), "tiles", 0.45),
            ((0.56, 0.62, 0.60), (0.56, 0.62, 0.60), "plain", 0.45),
            ((0.66, 0.64, 0.58), (0.56, 0.54, 0.50), "tiles", 0.30),
        ),
        woods=((0.72, 0.66, 0.55), (0.80, 0.80, 0.78)),
        postures={SITTING: 0.27, STANDING: 0.54, LYING: 0.19},
        occluders=0.1,
    ),
    Style(
        number=3,
        folder="tranch3",
        image_column="final_url",
        has_exception_case=True,
        extensions={"PNG": 0.76, "JPG": 0.24},
        size=(304, 240),
        camera_height=(1.2, 1.7),
        infrared=0.12,
        hospital=True,
        walls=((0.86, 0.84, 0.80), (0.70, 0.74, 0.76), (0.80, 0.76, 0.82)),
        floors=(
            ((0.50, 0.46, 0.42), (0.40, 0.36, 0.33), "planks", 0.20),
            ((0.44, 0.47, 0.52), (0.38, 0.41, 0.46), "checks", 0.50),
        ),
        woods=((0.62, 0.48, 0.34), (0.82, 0.74, 0.62), (0.40, 0.36, 0.34)),
        postures={SITTING: 0.26, STANDING: 0.55, LYING: 0.19},
        occluders=0.1,
    ),
)

# Pictures of other cameras, pixels.
OTHER_SIZES: Final = ((320, 200), (288, 240), (256, 256))


def style_of(tranche: int) -> Style:
    """The character of a tranche: one of `STYLES`, or such rooms seen by another camera."""
    if tranche <= len(STYLES):
        return STYLES[tranche - 1]
    rng = np.random.default_rng(tranche)
    height = float(rng.uniform(1.1, 1.9))
    return replace(
        STYLES[tranche % len(STYLES)],
        number=tranche,
        folder=f"tranch{tranche}",
        image_column="final_url",
        has_exception_case=True,
        size=OTHER_SIZES[tranche % len(OTHER_SIZES)],
        camera_height=(height, height + 0.3),
        infrared=float(rng.uniform(0.05, 0.25)),
    )


@dataclass(frozen=True)
class Actor:
    """Somebody in the clip: who, and how in each frame (None: not there)."""

    person: Person
    role: str
    postures: tuple[str | None, ...]
    poses: tuple[Pose | None, ...]


@dataclass(frozen=True)
class Lens:
    """What the camera does to the light; the same in every frame but for the noise."""

    exposure: float
    noise: float
    blur: float  # pixels
    vignette: float
    watermark: str | None


@dataclass(frozen=True)
class Clip:
    """A clip before drawing. The first actor is the primary person, if there is one."""

    kind: Kind
    size: tuple[int, int]
    views: tuple[View, ...]  # one a frame; the same object as long as the camera rests
    room: Room
    fixed: tuple[Shape, ...]
    occluders: tuple[Shape, ...]
    middle: Vector
    light: Light
    lens: Lens
    actors: tuple[Actor, ...]
    frames: int


ROLE_SHARES: Final[dict[str, dict[str, float]]] = {
    SITTING: {"Patient": 0.44, "Other": 0.28, "Staff": 0.28},
    STANDING: {"Staff": 0.72, "Other": 0.18, "Patient": 0.10},
    LYING: {"Patient": 0.94, "Other": 0.05, "Staff": 0.01},
}


VIEW_WIDTH: Final = 2.65  # width of the picture at the person, metres


def choose(rng: Rng, shares: dict[str, float]) -> str:
    """One of the keys, by its share."""
    values = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=values / values.sum()))


@dataclass(frozen=True)
class Layout:
    """Where things stand. The bed's head end is at +y, the camera somewhere at -y."""

    bed: tuple[float, float]
    bed_top: float
    bed_width: float
    backrest: float
    chair: tuple[float, float]
    chair_side: float  # of the bed, -1 or 1
    chair_heading: float  # where its sitter looks, radians
    blanket: Material | None
    low: Vector
    high: Vector


def build_clip(rng: Rng, style: Style, *, supersampling: float) -> Clip:
    """Draws a whole clip by chance.

    Args:
      rng: the clip's own source of chance.
      style: the tranche's character.
      supersampling: rays along each side of a pixel.

    Returns:
      The clip; its pictures follow from it and from the noise alone.
    """
    infrared = bool(rng.random() < style.infrared)
    kind: Kind = rng.choice(["shown", "empty", "hidden", "dark"], p=[0.895, 0.02, 0.07, 0.015])
    frames = int(rng.choice(np.arange(1, 9), p=FRAME_SHARES))
    layout, room, fixed, chair = _furnish(rng, style)

    actors: list[Actor] = []
    if kind != "empty":
        actors.append(_primary(rng, style, layout, frames, infrared))
    # A chair stands where somebody sits: what the person does shows in the room, too.
    if any(SITTING in actor.postures for actor in actors):
        fixed += chair
    middle = _middle(actors, layout)
    # Never along the bed: somebody who lies would be nothing but soles.
    azimuth = rng.uniform(35, 60)
    height = float(rng.uniform(*style.camera_height))
    size = (round(style.size[0] * supersampling), round(style.size[1] * supersampling))
    a, distance = np.radians(azimuth), float(rng.uniform(2.6, 3.6))
    eye = np.array([middle[0] + distance * np.sin(a), middle[1] - distance * np.cos(a), height])
    views = _views(rng, eye, size, actors, middle, frames)
    view = views[0]

    count = int(rng.choice([0, 1, 2], p=[0.90, 0.09, 0.01])) if kind == "shown" else 0
    for _ in range(count):
        actors.append(_companion(rng, layout, view, actors, frames, infrared))

    occluders: list[Shape] = []
    if kind == "hidden":
        occluders = _screen(rng, view, actors[0], style)
    elif actors and rng.random() < style.occluders:
        occluders = _occluder(rng, view, actors[0], style, layout)
    room = _with_camera_inside(room, eye)
    return Clip(
        kind=kind,
        size=style.size,
        views=views,
        room=room,
        fixed=tuple(fixed),
        occluders=tuple(occluders),
        middle=middle,
        light=_light(rng, infrared),
        lens=_lens(rng, infrared, kind),
        actors=tuple(actors),
        frames=frames,
    )


# One to eight frames, 2.1 on average: many clips of few frames, as in the real tables.
FRAME_SHARES: Final = np.array([0.34, 0.38, 0.17, 0.06, 0.02, 0.01, 0.01, 0.01])


def _furnish(rng: Rng, style: Style) -> tuple[Layout, Room, list[Shape], list[Shape]]:
    """The room, what stands in it, and a chair."""
    wood = Material(people.pick(rng, style.woods))
    cloth = Material(people.pick(rng, people.CLOTHS))
    white = people.pick(rng, ((0.90, 0.90, 0.92), (0.82, 0.86, 0.90), (0.88, 0.85, 0.80)))
    blankets: tuple[Colour, ...] = (
        ((0.55, 0.66, 0.76), (0.70, 0.76, 0.70), (0.84, 0.84, 0.80))
        if style.hospital
        else (*people.CLOTHS, (0.80, 0.76, 0.70))
    )
    blanket: Material | None = None
    if rng.random() < 0.6:
        colour = people.pick(rng, blankets)
        pattern: Pattern = "checks" if rng.random() < 0.25 else "plain"
        blanket = Material(colour, furniture.shade_of(colour, 0.75), pattern, 0.24)
    bed_top = float(rng.uniform(0.58, 0.72) if style.hospital else rng.uniform(0.48, 0.58))
    bed_width = float(rng.uniform(0.92, 1.02) if style.hospital else rng.uniform(0.95, 1.35))
    backrest = float(np.radians(rng.uniform(8, 22))) if style.hospital and rng.random() < 0.4 else 0
    bed = (float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.2, 0.2)))
    chair_side = float(rng.choice([-1.0, 1.0], p=[0.15, 0.85]))
    chair = (
        bed[0] + chair_side * (bed_width / 2 + float(rng.uniform(0.55, 0.85))),
        bed[1] + float(rng.uniform(-0.5, 0.6)),
    )
    # Seen from the side, or nearly: from the front, sitting and standing are much alike.
    chair_heading = float(rng.choice([-3 * np.pi / 4, np.pi / 4]) + rng.normal(0, 0.3))
    low = np.array([-float(rng.uniform(2.0, 3.0)), -4.0, 0.0])
    high = np.array([float(rng.uniform(2.0, 3.0)), bed[1] + 1.15 + float(rng.uniform(0, 0.3)), 2.7])
    layout = Layout(
        bed, bed_top, bed_width, backrest, chair, chair_side, chair_heading, blanket, low, high
    )

    rails = (bool(rng.random() < 0.4), bool(rng.random() < 0.4))
    shapes = furniture.bed(
        *bed,
        0.0,
        top=bed_top,
        width=bed_width,
        backrest=backrest,
        hospital=style.hospital,
        frame=wood,
        sheet=Material(white),
        blanket=blanket if rng.random() < 0.7 else None,
        rails=rails,
    )
    chairs = (
        ("plain", "armchair", "wheelchair", "stool") if style.hospital else ("plain", "armchair")
    )
    look = str(rng.choice(chairs))
    chair_shapes = furniture.chair(
        *chair, chair_heading - np.pi / 2, style=look, frame=wood, cover=cloth
    )
    beside = -chair_side if rng.random() < 0.7 else chair_side
    shapes += furniture.cabinet(
        bed[0] + beside * (bed_width / 2 + 0.3),
        high[1] - 0.25,
        np.pi,
        height=float(rng.uniform(0.55, 0.85)),
        look=wood,
    )
    if style.hospital and rng.random() < 0.45:
        shapes += furniture.drip_stand(bed[0] - beside * (bed_width / 2 + 0.25), bed[1] + 0.95)
    if rng.random() < 0.3:  # a wardrobe in a corner
        x = low[0] + 0.35 if beside > 0 else high[0] - 0.35
        middle = np.array([x, high[1] - 0.5, 1.0])
        shapes.append(Box(middle, (0.3, 0.45, 1.0), np.eye(3), wood))
    return layout, _room(rng, style, low, high, wood), shapes, chair_shapes


def _room(rng: Rng, style: Style, low: Vector, high: Vector, wood: Material) -> Room:
    """Walls, floor, window, door, pictures."""
    wall = people.pick(rng, style.walls)
    paper = Material(wall)
    if not style.hospital and rng.random() < 0.35:
        paper = Material(wall, furniture.shade_of(wall, 0.9), "stripes", 0.22)
    dado = Material(furniture.shade_of(wall, 0.82)) if rng.random() < 0.5 else paper
    if style.number == 3 and rng.random() < 0.5:
        dado = wood
    base, second, pattern, scale = style.floors[rng.integers(len(style.floors))]
    floor = Material(people.pick(rng, (base,)), second, pattern, scale)
    panels: list[tuple[int, int, float, float, float, float, Material]] = []
    frame = Material((0.93, 0.93, 0.92)) if rng.random() < 0.6 else wood
    glass = Material(people.pick(rng, ((0.85, 0.93, 1.0), (0.95, 0.95, 0.9), (0.18, 0.22, 0.32))))
    end = int(rng.integers(2))
    y = float(rng.uniform(-1.0, 0.4))
    panels.append((0, end, y - 0.06, y + 1.26, 0.84, 2.16, frame))
    panels += [(0, end, y + k * 0.63, y + k * 0.63 + 0.57, 0.9, 2.1, glass) for k in (0, 1)]
    drape = people.pick(rng, people.CLOTHS)
    folds = Material(drape, furniture.shade_of(drape, 0.7), "folds", 0.12)
    panels += [
        (0, end, y - 0.4, y - 0.02, 0.3, 2.25, folds),
        (0, end, y + 1.22, y + 1.6, 0.3, 2.25, folds),
    ]
    door = float(rng.uniform(-1.2, -0.2))
    panels.append(
        (0, 1 - end, door, door + 0.95, 0.0, 2.05, Material(furniture.shade_of(wall, 0.7)))
    )
    panels.append((0, 1 - end, door + 0.06, door + 0.89, 0.0, 1.99, wood))
    for _ in range(int(rng.integers(0, 4))):
        x, z = float(rng.uniform(-1.6, 1.2)), float(rng.uniform(1.35, 1.7))
        w, h = float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.25, 0.5))
        panels.append((1, 1, x - 0.04, x + w + 0.04, z - 0.04, z + h + 0.04, wood))
        picture = Material(
            people.pick(rng, people.CLOTHS), people.pick(rng, people.CLOTHS), "folds", 0.5
        )
        panels.append((1, 1, x, x + w, z, z + h, picture))
    if style.hospital:  # the supply rail behind the bed
        panels.append((1, 1, -1.1, 1.1, 1.18, 1.32, Material((0.86, 0.87, 0.88))))
        for x in (-0.8, -0.4, 0.5, 0.9):
            panels.append((1, 1, x, x + 0.09, 1.21, 1.29, Material((0.3, 0.45, 0.55))))
    ceiling = Material((0.90, 0.90, 0.88))
    return Room(low, high, floor, paper, dado, float(rng.uniform(0.8, 1.1)), ceiling, tuple(panels))


def _with_camera_inside(room: Room, eye: Vector) -> Room:
    low = np.minimum(room.low, eye - 0.3)
    high = np.maximum(room.high, eye + 0.3)
    low[2], high[2] = 0.0, max(room.high[2], float(eye[2]) + 0.2)
    return Room(
        low,
        high,
        room.floor,
        room.wall,
        room.dado,
        room.dado_height,
        room.ceiling,
        room.panels,
    )


def _place(
    rng: Rng, posture: str, person: Person, layout: Layout, blanket: Material | None
) -> Pose:
    """A pose of a posture at a place where one does that."""
    x, y = layout.bed
    half = layout.bed_width / 2
    if posture == LYING:
        if rng.random() < 0.04:  # fallen beside the bed
            spot = x - layout.chair_side * (half + float(rng.uniform(0.45, 0.7)))
            angle = np.pi / 2 + rng.normal(0, 0.3) + (np.pi if rng.random() < 0.5 else 0)
            return people.lying(rng, person, spot, y - 0.2, float(angle), 0.0)
        covered = blanket if rng.random() < 0.6 else None
        return people.lying(
            rng,
            person,
            x + float(rng.normal(0, 0.05)),
            y + 0.02 if layout.backrest < 0.05 else y + 0.22,
            float(np.pi / 2 + rng.normal(0, 0.06)),
            layout.bed_top,
            backrest=layout.backrest,
            blanket=covered,
        )
    if posture == SITTING:
        if rng.random() < 0.85:
            heading = layout.chair_heading + float(rng.normal(0, 0.1))
            return people.sitting(rng, person, *layout.chair, heading, furniture.SEAT_HEIGHT)
        edge = 1.0  # of the bed, on the camera's side
        heading = (0.0 if edge > 0 else np.pi) + float(rng.normal(0, 0.3))
        along = y + float(rng.uniform(-0.5, 0.3))
        return people.sitting(rng, person, x + edge * (half - 0.12), along, heading, layout.bed_top)
    # On the camera's side of the bed or at its foot end, where the legs are seen.
    angle = float(rng.uniform(-np.pi, np.pi))
    spots = (
        (x + half + float(rng.uniform(0.45, 0.9)), y - float(rng.uniform(0.3, 1.2))),
        (x + float(rng.uniform(-0.2, 0.8)), y - 1.5),
    )
    east, north = spots[rng.integers(len(spots))]
    return people.standing(rng, person, east, north, angle)


def _primary(rng: Rng, style: Style, layout: Layout, frames: int, infrared: bool) -> Actor:
    """The person the clip is about, who may change posture or leave between frames."""
    posture = choose(rng, style.postures)
    role = choose(rng, ROLE_SHARES[posture])
    person = people.sample_person(rng, role, infrared)
    blanket = layout.blanket or Material((0.85, 0.85, 0.88))
    pose = _place(rng, posture, person, layout, blanket)
    postures: list[str | None] = []
    poses: list[Pose | None] = []
    for frame in range(frames):
        if frame and rng.random() < 0.12:
            others = {p: s for p, s in style.postures.items() if p != posture}
            posture = choose(rng, others)
            pose = _place(rng, posture, person, layout, blanket)
        elif frame:
            pose = people.moved(rng, person, pose)
        away = frame > 0 and rng.random() < 0.03
        postures.append(None if away else posture)
        poses.append(None if away else pose)
    return Actor(person, role, tuple(postures), tuple(poses))


def _companion(
    rng: Rng, layout: Layout, view: View, actors: list[Actor], frames: int, infrared: bool
) -> Actor:
    """Somebody else, who stands, away from the others and not before the primary person."""
    role = choose(rng, ROLE_SHARES[STANDING])
    person = people.sample_person(rng, role, infrared)
    taken = [pose.pelvis[:2] for actor in actors for pose in actor.poses if pose is not None]
    x, y = layout.bed
    spots = np.array(
        [
            [x + rng.choice([-1, 1]) * rng.uniform(0.9, 1.7), y + rng.uniform(-1.6, 0.9)]
            for _ in range(12)
        ]
    )
    free = np.linalg.norm(spots[:, None] - np.array(taken)[None], axis=2).min(axis=1)
    behind = np.linalg.norm(spots - view.eye[:2], axis=1) - np.linalg.norm(taken[0] - view.eye[:2])
    best = spots[np.argmax(np.minimum(free, 0.9) + 0.8 * np.minimum(behind, 0.5))]
    towards = float(np.arctan2(*(taken[0] - best)[::-1]) + rng.normal(0, 0.5))
    pose = people.standing(rng, person, float(best[0]), float(best[1]), towards)
    poses: list[Pose | None] = []
    for frame in range(frames):
        if frame:
            pose = people.moved(rng, person, pose)
        poses.append(None if frame and rng.random() < 0.15 else pose)
    postures = tuple(STANDING if pose is not None else None for pose in poses)
    return Actor(person, role, postures, tuple(poses))


def _middle(actors: list[Actor], layout: Layout) -> Vector:
    """What the camera looks at: the primary person's places."""
    poses = [pose for actor in actors for pose in actor.poses if pose is not None]
    if not poses:
        return np.array([layout.bed[0], layout.bed[1] - 0.4, 0.7])
    places = np.array([pose.pelvis for pose in poses])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    middle[2] = 0.45 * middle[2] + 0.45
    return middle


def _views(
    rng: Rng,
    eye: Vector,
    size: tuple[int, int],
    actors: list[Actor],
    middle: Vector,
    frames: int,
) -> tuple[View, ...]:
    """The camera stays where it is, and turns to the person at each new posture."""
    roll = float(np.radians(rng.normal(0, 1.5)))
    if not actors:
        view = View(eye, middle, size, field=float(rng.uniform(0.4, 0.6)), roll=roll)
        return (view,) * frames
    views: list[View] = []
    primary = actors[0]
    for frame, pose in enumerate(primary.poses):
        if pose is None or (frame and primary.postures[frame] == primary.postures[frame - 1]):
            views.append(views[-1])
            continue
        joints = skeleton(primary.person, pose)
        points = np.array([p for n, p in joints.items() if n not in ("face", "crown")])
        # The height of the look is fixed: how high somebody is in the picture tells.
        target = np.append(points[:, :2].mean(axis=0), 0.8) + np.append(rng.normal(0, 0.1, 2), 0)
        far = float(np.linalg.norm(target - eye))
        field = VIEW_WIDTH * float(rng.uniform(0.95, 1.1)) / 2 / far
        views.append(View(eye, target, size, field=field, roll=roll))
    return tuple(views)


def _screen(rng: Rng, view: View, actor: Actor, style: Style) -> list[Shape]:
    """A curtain before the whole person: at most a hand or a foot shows at one side."""
    poses = [pose for pose in actor.poses if pose is not None]
    joints = np.concatenate(
        [
            [p for n, p in skeleton(actor.person, pose).items() if n not in ("face", "crown")]
            for pose in poses
        ]
    )
    flat = np.array([1.0, 1.0, 0.0])
    ahead, right = view.forward * flat, view.right * flat
    ahead, right = ahead / np.linalg.norm(ahead), right / np.linalg.norm(right)
    offset = joints - view.eye
    depth = offset @ ahead
    distance = max(float(depth.min()) - 0.3, 0.5)
    # Where the sight lines to the joints cross the plane of the curtain.
    across = offset @ right / depth * distance
    left_gap, right_gap = rng.permutation([0.14, float(rng.uniform(-0.10, 0.02))])
    colour = people.pick(rng, style.walls)
    look = Material(colour, furniture.shade_of(colour, 0.72), "folds", 0.14)
    middle = view.eye + ahead * distance
    start = middle + right * (float(across.min()) - left_gap)
    end = middle + right * (float(across.max()) + right_gap)
    return furniture.curtain(start[:2], end[:2], 0.04, look)


def _occluder(rng: Rng, view: View, actor: Actor, style: Style, layout: Layout) -> list[Shape]:
    """Something between the camera and a part of the primary person."""
    pose = next(pose for pose in actor.poses if pose is not None)
    towards = view.eye - pose.pelvis
    towards[2] = 0
    distance = float(np.linalg.norm(towards))
    right = view.right * np.array([1, 1, 0])
    share = float(rng.uniform(0.3, 0.5))
    spot = pose.pelvis + towards * share
    side = float(rng.choice([-1, 1]))
    way = rng.integers(4)
    heading = float(np.arctan2(towards[1], towards[0]) + np.pi / 2 + rng.normal(0, 0.4))
    wood = Material(people.pick(rng, style.woods))
    if way == 0 and distance * share > 0.7:  # a curtain drawn over one side
        colour = people.pick(rng, style.walls if style.hospital else people.CLOTHS)
        look = Material(colour, furniture.shade_of(colour, 0.72), "folds", 0.14)
        inner = spot + right * side * float(rng.uniform(0.02, 0.14))
        return furniture.curtain(inner[:2], (inner + right * side * 1.6)[:2], 0.1, look)
    if way == 1:
        spot = spot + right * side * float(rng.uniform(0.05, 0.25))
        return furniture.overbed_table(float(spot[0]), float(spot[1]), heading, wood)
    spot = spot + right * side * float(rng.uniform(0.1, 0.3))
    if way == 2:
        cover = Material(people.pick(rng, people.CLOTHS))
        return furniture.chair(
            float(spot[0]), float(spot[1]), heading, style="armchair", frame=wood, cover=cover
        )
    height = float(rng.uniform(0.6, 0.9))
    return furniture.cabinet(
        float(spot[0]), float(spot[1]), heading, height=height, look=wood, lamp=False
    )


def _light(rng: Rng, infrared: bool) -> Light:
    around, up = rng.uniform(-np.pi, 0), np.radians(rng.uniform(38, 70))
    towards = np.array([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)])
    if infrared:
        return Light(towards, 0.0, 0.05, float(rng.uniform(0.7, 1.1)), 0.0, True)
    key = float(rng.uniform(0.35, 0.95))
    return Light(
        towards,
        key,
        float(rng.uniform(0.50, 0.75)),
        float(rng.uniform(0.05, 0.2)),
        float(rng.normal(0.02, 0.06)),
        False,
    )


def _lens(rng: Rng, infrared: bool, kind: Kind) -> Lens:
    exposure = float(rng.uniform(0.75, 1.15))
    return Lens(
        exposure=exposure * (0.0002 if kind == "dark" else 1.0),
        noise=float(rng.uniform(0.006, 0.022) * (1.4 if infrared else 1.0)),
        blur=float(rng.choice([0.0, 0.5, 0.9], p=[0.5, 0.35, 0.15])),
        vignette=float(rng.uniform(0.35, 0.6) if infrared else rng.uniform(0.0, 0.25)),
        watermark=str(rng.choice(["SAMPLE", "DEMO", "PREVIEW"])) if rng.random() < 0.035 else None,
    )
