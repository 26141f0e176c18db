"""People: a jointed skeleton posed by angles, and the body and clothes around it."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from components.demo.render import Colour, Ellipsoid, Material, RoundCone, Shape, Vector

Garment = Literal["street", "scrubs", "coat", "gown", "pyjamas"]
LEFT: Final = -1.0
RIGHT: Final = 1.0
SIDES: Final = ((LEFT, "left"), (RIGHT, "right"))


@dataclass(frozen=True)
class Person:
    """Build, hair and clothes; the same in every frame of a clip."""

    height: float  # metres
    girth: float  # 1 is average
    shoulders: float  # 1 is average
    skin: Colour
    hair: Colour
    hairline: float  # cosine above which a head is hair; above 1 is bald
    long_hair: bool
    garment: Garment
    top: Material
    bottom: Material
    shoes: Colour
    bare_arms: bool
    bare_legs: bool
    eyes: Colour
    mask: bool


@dataclass(frozen=True)
class Pose:
    """Angles in degrees, lengths in metres. Forward is where the chest looks."""

    pelvis: Vector  # position
    up: Vector  # along the spine of an unbent body, length 1
    forward: Vector  # length 1, at right angles to `up`
    lean: float = 0.0  # of the trunk, forward
    sway: float = 0.0  # of the trunk, to the right
    twist: float = 0.0  # of the shoulders against the hips
    hip: tuple[float, float] = (0.0, 0.0)  # thighs raised forward: left, right
    spread: tuple[float, float] = (3.0, 3.0)  # thighs outward
    knee: tuple[float, float] = (4.0, 4.0)  # bent backward
    shoulder: tuple[float, float] = (5.0, 5.0)  # upper arms raised forward
    abduction: tuple[float, float] = (10.0, 10.0)  # upper arms outward
    elbow: tuple[float, float] = (15.0, 15.0)  # bent forward
    inward: tuple[float, float] = (5.0, 5.0)  # forearms turned towards the middle
    head_turn: float = 0.0  # to the right
    head_nod: float = 10.0  # down
    surface: float | None = None  # what the body lies on: no joint sinks below this height
    covered: float = 0.0  # blanket: 0 none, 0.5 to the waist, 1 to the chest
    blanket: Material = field(default=Material((0.8, 0.8, 0.85)))


Joints = dict[str, Vector]


def _unit(v: Vector) -> Vector:
    return v / np.linalg.norm(v)


def _bent(down: Vector, forward: Vector, side: Vector, raised: float, outward: float) -> Vector:
    """The direction `down`, raised forward and then outward by degrees."""
    a, b = np.radians(raised), np.radians(outward)
    return np.cos(b) * (np.cos(a) * down + np.sin(a) * forward) + np.sin(b) * side


def skeleton(person: Person, pose: Pose) -> Joints:
    """Places the joints.

    Segment lengths are shares of the height after Drillis and Contini (1966).

    Returns:
      Positions in metres by name; `head` is the middle of the head, and
      `face` and `crown` are directions of length 1.
    """
    h = person.height
    up, forward = pose.up, pose.forward
    right = np.cross(forward, up)
    joints: Joints = {"pelvis": pose.pelvis}

    lean, sway = np.radians(pose.lean), np.radians(pose.sway)
    trunk = np.cos(sway) * (np.cos(lean) * up + np.sin(lean) * forward) + np.sin(sway) * right
    twist = np.radians(pose.twist)
    across = right * np.cos(twist) + forward * np.sin(twist)
    across = _unit(across - trunk * (across @ trunk))
    chest_forward = np.cross(trunk, across)
    joints["waist"] = pose.pelvis + trunk * 0.10 * h
    joints["chest"] = pose.pelvis + trunk * 0.285 * h
    # The head balances: it leans half as much as the trunk.
    neck = _unit(trunk + 0.5 * up) if pose.surface is None else trunk
    turn, nod = np.radians(pose.head_turn), np.radians(pose.head_nod)
    ahead = chest_forward * np.cos(turn) + across * np.sin(turn)
    joints["neck"] = joints["chest"] + neck * 0.045 * h
    joints["crown"] = _unit(neck * np.cos(nod) + ahead * np.sin(nod))
    joints["face"] = _unit(ahead * np.cos(nod) - neck * np.sin(nod))
    joints["head"] = joints["chest"] + neck * 0.07 * h + joints["crown"] * 0.062 * h

    for index, (side, name) in enumerate(SIDES):
        out = side * right
        hip = pose.pelvis + out * 0.052 * h * (0.7 + 0.3 * person.girth)
        raised, spread, bend = pose.hip[index], pose.spread[index], pose.knee[index]
        knee = hip + 0.245 * h * _bent(-up, forward, out, raised, spread)
        shin = _bent(-up, forward, out, raised - bend, spread * 0.3)
        ankle = knee + 0.235 * h * shin
        foot = _bent(-up, forward, out, raised - bend + 78, 12)
        if pose.surface is not None:
            foot = _bent(-up, forward, out, raised - bend + 60, 15)
        joints |= {
            f"{name}_hip": hip,
            f"{name}_knee": knee,
            f"{name}_ankle": ankle,
            f"{name}_toe": ankle + 0.10 * h * foot,
        }
        out = side * across
        shoulder = joints["chest"] + out * 0.112 * h * person.shoulders - trunk * 0.012 * h
        raised, outward = pose.shoulder[index], pose.abduction[index]
        elbow = shoulder + 0.180 * h * _bent(-trunk, chest_forward, out, raised, outward)
        fore = _bent(
            -trunk, chest_forward, out, raised + pose.elbow[index], outward - pose.inward[index]
        )
        wrist = elbow + 0.145 * h * fore
        joints |= {
            f"{name}_shoulder": shoulder,
            f"{name}_elbow": elbow,
            f"{name}_wrist": wrist,
            f"{name}_hand": wrist + 0.05 * h * fore,
        }
    if pose.surface is not None:
        for name, position in joints.items():
            if name not in ("face", "crown"):
                position[2] = max(position[2], pose.surface + 0.03 * h)
    return joints


def stand_on(person: Person, pose: Pose, floor: float) -> float:
    """How far to raise the pelvis so that the lower foot stands on the floor, metres."""
    joints = skeleton(person, pose)
    lowest = min(joints["left_ankle"][2], joints["right_ankle"][2])
    return float(floor + 0.042 * person.height - lowest)


def body(person: Person, pose: Pose, joints: Joints) -> list[Shape]:
    """The shapes of a dressed body around its joints."""
    h, g = person.height, person.girth
    skin = Material(person.skin)
    sleeve = skin if person.bare_arms else person.top
    leg = skin if person.bare_legs else person.bottom
    shapes: list[Shape] = []

    def limb(a: str, b: str, ra: float, rb: float, material: Material) -> None:
        shapes.append(RoundCone(joints[a], joints[b], ra * h, rb * h, material))

    # Trunk: a bundle of cones, flat from front to back.
    shoulder_line = joints["right_shoulder"] - joints["left_shoulder"]
    across = _unit(shoulder_line)
    hips_across = _unit(joints["right_hip"] - joints["left_hip"])
    width = float(np.linalg.norm(shoulder_line))
    chest_down = _unit(joints["pelvis"] - joints["chest"])
    chest = joints["chest"] + chest_down * 0.045 * h
    hem = person.top if person.garment in ("gown", "coat") else person.bottom
    for side in (-1.0, 0.0, 1.0):
        top = chest + across * side * width * 0.30
        waist = joints["waist"] + hips_across * side * 0.048 * h * g
        seat = joints["pelvis"] + hips_across * side * 0.050 * h * g
        shapes.append(RoundCone(top, waist, 0.062 * h * (0.6 + 0.4 * g), 0.060 * h * g, person.top))
        shapes.append(RoundCone(waist, seat, 0.060 * h * g, 0.062 * h * g, hem))
        shapes.append(
            RoundCone(waist, waist * 0.6 + seat * 0.4, 0.062 * h * g, 0.061 * h * g, person.top)
        )
    limb("left_shoulder", "right_shoulder", 0.036, 0.036, person.top)
    ahead = np.cross(chest_down, across) * -1.0
    if g > 1.1 and not pose.covered:
        belly = joints["waist"] + ahead * 0.03 * h * g
        axes = np.stack([hips_across * 0.075, ahead * 0.06, -chest_down * 0.085], axis=1) * h * g
        shapes.append(Ellipsoid(belly, axes, person.top))

    # Head, neck, hair.
    limb("chest", "neck", 0.042, 0.030, skin)
    for _, name in SIDES:
        slope = joints["chest"] + across * (-0.03 if name == "left" else 0.03) * h
        shapes.append(
            RoundCone(slope, joints[f"{name}_shoulder"], 0.040 * h, 0.034 * h, person.top)
        )
    face, crown, head = joints["face"], joints["crown"], joints["head"]
    side_axis = np.cross(face, crown)
    skull = np.stack([side_axis * 0.046, face * 0.056, crown * 0.066], axis=1) * h
    look = Material(person.skin, person.hair, "head", person.hairline, person.eyes)
    shapes.append(Ellipsoid(head, skull, look))
    nose = head + face * 0.052 * h - crown * 0.008 * h
    shapes.append(RoundCone(nose + crown * 0.012 * h, nose, 0.006 * h, 0.010 * h, skin))
    for side in (-1.0, 1.0):
        ear = head + side_axis * side * 0.046 * h
        shapes.append(RoundCone(ear, ear - crown * 0.012 * h, 0.010 * h, 0.008 * h, skin))
    if person.mask:
        cover = head + face * 0.026 * h - crown * 0.026 * h
        axes = np.stack([side_axis * 0.040, face * 0.036, crown * 0.030], axis=1) * h
        shapes.append(Ellipsoid(cover, axes, Material((0.62, 0.78, 0.86))))
    if person.long_hair:
        strands = Material(person.hair)
        for side in (-0.7, 0.7):
            root = head - face * 0.018 * h + side_axis * side * 0.042 * h + crown * 0.015 * h
            end = root - crown * 0.10 * h - face * 0.015 * h
            shapes.append(RoundCone(root, end, 0.030 * h, 0.020 * h, strands))

    # Limbs. A blanket swells what it covers; so does a skirt what it hangs from.
    swell = 0.018 if pose.covered else 0.0
    thigh = pose.blanket if pose.covered else leg
    shin = pose.blanket if pose.covered else leg
    fat = 0.55 + 0.45 * g
    for _, name in SIDES:
        limb(f"{name}_hip", f"{name}_knee", 0.052 * fat + swell, 0.033 * fat + swell, thigh)
        limb(f"{name}_knee", f"{name}_ankle", 0.032 * fat + swell, 0.022 + swell, shin)
        foot = Material(person.shoes) if not pose.covered else pose.blanket
        limb(f"{name}_ankle", f"{name}_toe", 0.023 + swell, 0.019 + swell, foot)
        limb(f"{name}_shoulder", f"{name}_elbow", 0.031 * fat, 0.025 * fat, person.top)
        if person.bare_arms:
            middle = joints[f"{name}_shoulder"] * 0.45 + joints[f"{name}_elbow"] * 0.55
            shapes[-1] = RoundCone(
                joints[f"{name}_shoulder"], middle, 0.034 * fat * h, 0.030 * fat * h, person.top
            )
            shapes.append(RoundCone(middle, joints[f"{name}_elbow"], 0.025 * h, 0.022 * h, skin))
        limb(f"{name}_elbow", f"{name}_wrist", 0.023 * fat, 0.017, sleeve)
        limb(f"{name}_wrist", f"{name}_hand", 0.018, 0.016, skin)
        if person.garment in ("gown", "coat") and not pose.covered:
            hip, knee = joints[f"{name}_hip"], joints[f"{name}_knee"]
            length = 0.85 if person.garment == "gown" else 0.55
            end = hip + (knee - hip) * length
            shapes.append(RoundCone(hip, end, 0.060 * fat * h, 0.058 * fat * h, person.top))
    if person.garment in ("gown", "coat") and not pose.covered:
        middle = (joints["left_knee"] + joints["right_knee"]) / 2
        end = joints["pelvis"] + (middle - joints["pelvis"]) * 0.75
        shapes.append(RoundCone(joints["pelvis"], end, 0.06 * h, 0.05 * h, person.top))
    if pose.covered:
        shapes += _blanket(person, pose, joints)
    return shapes


def _blanket(person: Person, pose: Pose, joints: Joints) -> list[Shape]:
    """A cloth over legs and trunk: a wide hump, with the limbs as folds in it."""
    h, g = person.height, person.girth
    hips, chest = joints["pelvis"], joints["chest"]
    knees = (joints["left_knee"] + joints["right_knee"]) / 2
    ankles = (joints["left_ankle"] + joints["right_ankle"]) / 2
    upper = hips + (chest - hips) * 0.8 * pose.covered
    spine = [(ankles, 0.052), (knees, 0.062), (hips, 0.072 * g), (upper, 0.070 * g)]
    outward = np.cross(pose.up, (0.0, 0.0, 1.0))
    shapes: list[Shape] = []
    for (a, ra), (b, rb) in pairwise(spine):
        for side in (-0.16, -0.08, 0.0, 0.08, 0.16):
            # Lower towards the sides, where the cloth falls to the mattress.
            drop = np.array([0.0, 0.0, -2.2 * side * side * h])
            shift = outward * side * h * 0.8 + drop
            shapes.append(RoundCone(a + shift, b + shift, ra * h, rb * h, pose.blanket))
    return shapes
