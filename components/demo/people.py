"""Draws people and their poses by chance: build, clothes, and how they sit, stand and lie."""

from dataclasses import replace

import numpy as np

from components.demo.figure import Garment, Person, Pose, stand_on
from components.demo.furniture import SEAT_HEIGHT
from components.demo.render import Colour, Material, Pattern, Vector

SKINS: tuple[Colour, ...] = (
    (0.95, 0.80, 0.70),
    (0.90, 0.72, 0.60),
    (0.80, 0.61, 0.47),
    (0.66, 0.46, 0.34),
    (0.48, 0.32, 0.24),
    (0.36, 0.24, 0.19),
)
HAIRS: tuple[Colour, ...] = (
    (0.08, 0.06, 0.05),
    (0.20, 0.13, 0.08),
    (0.40, 0.26, 0.14),
    (0.75, 0.60, 0.36),
    (0.55, 0.55, 0.55),
    (0.88, 0.88, 0.87),
)
CLOTHS: tuple[Colour, ...] = (
    (0.65, 0.16, 0.16),
    (0.16, 0.25, 0.45),
    (0.20, 0.42, 0.28),
    (0.85, 0.82, 0.74),
    (0.15, 0.15, 0.17),
    (0.80, 0.62, 0.25),
    (0.48, 0.30, 0.48),
    (0.55, 0.58, 0.60),
    (0.86, 0.55, 0.55),
    (0.35, 0.52, 0.68),
)
TROUSERS: tuple[Colour, ...] = (
    (0.16, 0.19, 0.28),
    (0.12, 0.12, 0.13),
    (0.45, 0.40, 0.32),
    (0.30, 0.32, 0.35),
    (0.62, 0.56, 0.46),
    (0.25, 0.35, 0.50),
)
SCRUBS: tuple[Colour, ...] = (
    (0.20, 0.50, 0.52),
    (0.18, 0.32, 0.58),
    (0.30, 0.55, 0.42),
    (0.38, 0.24, 0.45),
    (0.15, 0.20, 0.34),
)
GOWNS: tuple[Colour, ...] = ((0.78, 0.86, 0.90), (0.86, 0.90, 0.84), (0.82, 0.82, 0.92))
PYJAMAS: tuple[Colour, ...] = ((0.55, 0.66, 0.82), (0.84, 0.70, 0.74), (0.70, 0.78, 0.66))

Rng = np.random.Generator


def pick(rng: Rng, values: tuple[Colour, ...]) -> Colour:
    """One of the colours, a little changed."""
    shift = rng.normal(0, 0.03, 3)
    r, g, b = np.clip(np.array(values[rng.integers(len(values))]) + shift, 0.03, 0.97)
    return (float(r), float(g), float(b))


def sample_person(rng: Rng, role: str, infrared: bool) -> Person:
    """A person whose clothes tell the role: Staff, Patient or Other."""
    garment: Garment
    patterned = rng.random()
    bare_arms, bare_legs, mask = rng.random() < 0.4, False, False
    top = Material(pick(rng, CLOTHS))
    if patterned < 0.15:
        top = Material(top.colour, pick(rng, CLOTHS), "stripes", 0.09)
    elif patterned < 0.25:
        top = Material(top.colour, pick(rng, CLOTHS), "checks", 0.08)
    bottom = Material(pick(rng, TROUSERS))
    shoes = pick(rng, ((0.1, 0.1, 0.1), (0.35, 0.22, 0.14), (0.85, 0.85, 0.85)))
    if role == "Staff":
        garment, bare_arms, mask = "scrubs", rng.random() < 0.8, rng.random() < 0.35
        top = bottom = Material(pick(rng, SCRUBS))
        if rng.random() < 0.25:
            garment, bare_arms, top = "coat", False, Material((0.92, 0.92, 0.93))
    elif role == "Patient":
        shoes = pick(rng, (*SKINS, (0.8, 0.8, 0.8)))
        if rng.random() < 0.6:
            garment, bare_arms, bare_legs = "gown", True, True
            colour = pick(rng, GOWNS)
            print_: Pattern = "dots" if patterned < 0.6 else "plain"
            top = Material(colour, (0.45, 0.55, 0.72), print_, 0.05)
            bottom = top
        else:
            garment, bare_arms = "pyjamas", False
            colour = pick(rng, PYJAMAS)
            pattern: Pattern = "stripes" if patterned < 0.4 else "plain"
            top = Material(colour, (0.93, 0.93, 0.95), pattern, 0.06)
            bottom = top
    else:
        garment = "street"
        bare_legs = rng.random() < 0.12
    elderly = rng.random() < (0.7 if role == "Patient" else 0.2)
    skin = pick(rng, SKINS)
    return Person(
        height=float(np.clip(rng.normal(1.70, 0.10), 1.48, 1.96)),
        girth=float(np.clip(rng.normal(1.02, 0.16), 0.76, 1.45)),
        shoulders=float(rng.uniform(0.90, 1.12)),
        skin=skin,
        hair=pick(rng, HAIRS[4:] if elderly else HAIRS[:4]),
        hairline=float(rng.choice([1.2, 0.45, 0.15, 0.05], p=[0.07, 0.13, 0.5, 0.3])),
        long_hair=bool(rng.random() < 0.4),
        garment=garment,
        top=top,
        bottom=bottom,
        shoes=shoes,
        bare_arms=bare_arms,
        bare_legs=bare_legs,
        # Pupils send the light of a lamp beside the lens straight back.
        eyes=(1.5, 1.5, 1.5) if infrared else (0.06, 0.05, 0.05),
        mask=mask,
    )


def _pair(rng: Rng, low: float, high: float) -> tuple[float, float]:
    return float(rng.uniform(low, high)), float(rng.uniform(low, high))


def _arms(rng: Rng, pose: Pose, busy: float) -> Pose:
    """Hanging arms; with the chance `busy`, hands before the body, on the hips or held out."""
    if rng.random() >= busy:
        return replace(
            pose,
            shoulder=_pair(rng, -15, 20),
            abduction=_pair(rng, 6, 18),
            elbow=_pair(rng, 5, 30),
            inward=_pair(rng, 0, 12),
        )
    way = rng.integers(4)
    if way == 0:  # hands before the belly
        return replace(
            pose,
            shoulder=_pair(rng, 5, 25),
            abduction=_pair(rng, 8, 18),
            elbow=_pair(rng, 75, 100),
            inward=_pair(rng, 30, 50),
        )
    if way == 1:  # hands on the hips
        return replace(
            pose,
            shoulder=_pair(rng, -25, -10),
            abduction=_pair(rng, 38, 50),
            elbow=_pair(rng, 25, 40),
            inward=_pair(rng, 70, 85),
        )
    if way == 2:  # reaching out with both
        return replace(
            pose,
            shoulder=_pair(rng, 40, 75),
            abduction=_pair(rng, 0, 12),
            elbow=_pair(rng, 10, 40),
            inward=_pair(rng, 0, 15),
        )
    hanging, raised = rng.uniform(-5, 15), rng.uniform(30, 60)
    return replace(
        pose,
        shoulder=(float(hanging), float(raised)),
        abduction=_pair(rng, 5, 15),
        elbow=(float(rng.uniform(5, 25)), float(rng.uniform(80, 120))),
        inward=_pair(rng, 0, 20),
    )


def _heading(angle: float) -> Vector:
    return np.array([np.cos(angle), np.sin(angle), 0.0])


UP = np.array([0.0, 0.0, 1.0])


def standing(rng: Rng, person: Person, x: float, y: float, angle: float) -> Pose:
    """Upright, walking, or bent a little over work; `angle` is where the chest looks."""
    pose = Pose(np.array([x, y, 0.5 * person.height]), UP, _heading(angle))
    pose = replace(
        pose,
        lean=float(rng.uniform(-2, 8)),
        sway=float(rng.normal(0, 2)),
        twist=float(rng.normal(0, 6)),
        spread=_pair(rng, 2, 8),
        head_turn=float(rng.normal(0, 18)),
        head_nod=float(rng.uniform(0, 22)),
    )
    way = rng.random()
    if way < 0.35:  # a step
        stride = float(rng.uniform(12, 26))
        pose = replace(pose, hip=(stride, -stride * 0.7), knee=(6.0, float(rng.uniform(10, 30))))
        if rng.random() < 0.5:
            pose = replace(pose, hip=pose.hip[::-1], knee=pose.knee[::-1])
    else:
        pose = replace(pose, hip=_pair(rng, -2, 5), knee=_pair(rng, 0, 8))
    if way > 0.85:  # work before the body
        pose = replace(pose, lean=float(rng.uniform(15, 32)), head_nod=float(rng.uniform(15, 35)))
    pose = _arms(rng, pose, 0.9 if way > 0.85 else 0.4)
    return settle(person, pose)


def settle(person: Person, pose: Pose) -> Pose:
    """Puts the lower foot of a standing person on the floor."""
    raise_by = stand_on(person, pose, 0.0)
    return replace(pose, pelvis=pose.pelvis + UP * raise_by)


def sitting(rng: Rng, person: Person, x: float, y: float, angle: float, seat: float) -> Pose:
    """On a seat of a given height (metres), feet on or above the floor."""
    h = person.height
    pelvis = np.array([x, y, seat + 0.058 * h * (0.6 + 0.4 * person.girth)])
    bend = float(np.clip(90 + (seat - SEAT_HEIGHT) * 20, 82, 96))
    pose = Pose(pelvis, UP, _heading(angle))
    pose = replace(
        pose,
        lean=float(rng.uniform(-12, 18)),
        sway=float(rng.normal(0, 3)),
        twist=float(rng.normal(0, 8)),
        hip=_pair(rng, 80, 92),
        spread=_pair(rng, 3, 16),
        knee=_pair(rng, bend - 16, bend + 6),
        head_turn=float(rng.normal(0, 20)),
        head_nod=float(rng.uniform(0, 30)),
    )
    way = rng.random()
    if way < 0.6:  # hands on the lap or the armrests
        return replace(
            pose,
            shoulder=_pair(rng, 10, 30),
            abduction=_pair(rng, 6, 20),
            elbow=_pair(rng, 45, 75),
            inward=_pair(rng, 5, 40),
        )
    if way < 0.75:  # reading
        return replace(
            pose,
            head_nod=float(rng.uniform(20, 40)),
            shoulder=_pair(rng, 25, 40),
            abduction=_pair(rng, 5, 12),
            elbow=_pair(rng, 75, 100),
            inward=_pair(rng, 20, 40),
        )
    return _arms(rng, pose, 0.7)


def lying(
    rng: Rng,
    person: Person,
    x: float,
    y: float,
    towards_head: float,
    surface: float,
    *,
    backrest: float = 0.0,
    blanket: Material | None = None,
) -> Pose:
    """On the back or a side, on a bed or the floor.

    Args:
      rng: chance.
      person: who lies.
      x: of the pelvis, metres.
      y: of the pelvis, metres.
      towards_head: direction from the feet to the head, radians.
      surface: height of what the body lies on, metres.
      backrest: how far the trunk is raised, radians; keeps the person on the back.
      blanket: what covers the body; None for nothing.

    Returns:
      The pose.
    """
    along = _heading(towards_head)
    across = np.cross(along, UP)
    on_side = backrest < 0.05 and rng.random() < 0.4
    roll = np.radians(rng.uniform(80, 94) * rng.choice([-1, 1]) if on_side else rng.normal(0, 6))
    forward = np.cos(roll) * UP + np.sin(roll) * across
    thick = 0.062 * person.height * (person.girth if not on_side else 1.25)
    pose = Pose(np.array([x, y, surface + thick]), along, forward, surface=surface, head_nod=8.0)
    pose = replace(
        pose,
        twist=float(rng.normal(0, 5)),
        sway=float(np.clip(rng.normal(0, 3), -5, 5)),
        spread=_pair(rng, 3, 12),
    )
    if on_side:
        # The drawn-up legs need room: the hips move back.
        hip, knee = rng.uniform(20, 55), rng.uniform(30, 85)
        pose = replace(
            pose,
            pelvis=pose.pelvis - np.sin(roll) * across * 0.14,
            hip=_pair(rng, hip - 6, hip + 6),
            knee=_pair(rng, knee - 10, knee + 10),
            shoulder=_pair(rng, 25, 75),
            abduction=_pair(rng, 0, 8),
            elbow=_pair(rng, 20, 95),
            inward=_pair(rng, 0, 15),
            spread=_pair(rng, 0, 5),
            lean=float(rng.uniform(0, 15)),
        )
    else:
        # A straight leg falls from the hip to the mattress.
        flat = -4.0
        raised = float(rng.uniform(20, 45)) if rng.random() < 0.25 else flat
        bent = 1.9 * max(raised, 0.0)
        one = rng.random() < 0.5
        pose = replace(
            pose,
            lean=float(np.degrees(backrest)),
            hip=(raised, flat) if one else (raised, raised),
            knee=(bent, 0.0) if one else (bent, bent),
            head_turn=float(rng.normal(0, 25)),
            head_nod=float(rng.uniform(5, 20)),
        )
        if rng.random() < 0.5:  # arms beside the body
            pose = replace(
                pose,
                shoulder=_pair(rng, -3, 4),
                abduction=_pair(rng, 10, 35),
                elbow=_pair(rng, 0, 8),
                inward=_pair(rng, 0, 15),
            )
        else:  # hands on the belly
            pose = replace(
                pose,
                shoulder=_pair(rng, 0, 8),
                abduction=_pair(rng, 14, 25),
                elbow=_pair(rng, 12, 25),
                inward=_pair(rng, 75, 100),
            )
    if blanket is not None:
        pose = replace(pose, covered=float(rng.choice([0.35, 0.6, 0.95])), blanket=blanket)
    return pose


def moved(rng: Rng, person: Person, pose: Pose) -> Pose:
    """The same posture a moment later: joints a few degrees on, the head turned."""

    def shifted(pair: tuple[float, float], degrees: float) -> tuple[float, float]:
        return pair[0] + float(rng.normal(0, degrees)), pair[1] + float(rng.normal(0, degrees))

    upright = pose.surface is None
    standing_up = upright and max(pose.hip) < 60
    later = replace(
        pose,
        pelvis=pose.pelvis + np.append(rng.normal(0, 0.06 if standing_up else 0.015, 2), 0),
        lean=pose.lean + float(rng.normal(0, 3 if upright else 0.5)),
        twist=pose.twist + float(rng.normal(0, 4)),
        hip=shifted(pose.hip, 5 if standing_up else 2),
        knee=shifted(pose.knee, 3),
        shoulder=shifted(pose.shoulder, 8 if upright else 2),
        abduction=shifted(pose.abduction, 4),
        elbow=shifted(pose.elbow, 10 if upright else 3),
        head_turn=pose.head_turn + float(rng.normal(0, 15)),
        head_nod=pose.head_nod + float(rng.normal(0, 5)),
    )
    if not standing_up:
        return later
    turn = rng.normal(0, 0.25)
    c, s = np.cos(turn), np.sin(turn)
    x, y, _ = later.forward
    later = replace(
        later,
        forward=np.array([c * x - s * y, s * x + c * y, 0.0]),
        knee=(max(later.knee[0], 0.0), max(later.knee[1], 0.0)),
    )
    return settle(person, later)
