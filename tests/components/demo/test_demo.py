"""The demo: layout and quirks of its files, truth of its labels, exactness of its rays."""

import csv
import io
import re
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from components.demo import people
from components.demo.figure import skeleton
from components.demo.furniture import SEAT_HEIGHT
from components.demo.picture import draw_clip
from components.demo.render import Box, Ellipsoid, Material, RoundCone, Shape
from components.demo.scene import STYLES, Style, build_clip, style_of
from components.demo.tranches import (
    CORRUPT,
    MARKER,
    QUIRKS,
    DemoReport,
    draw_tranches,
    quirk_of,
)
from components.errors import InputError
from components.ingest import layout
from pipeline.commands.demo import demo as command
from schema import features

CLIPS = 45
GREY = Material((0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoReport:
    """A small demo."""
    return draw_tranches(tmp_path_factory.mktemp("demo"), clips=CLIPS, seed=5)


def rows_of(demo: DemoReport, tranche: str) -> list[dict[str, str]]:
    text = (demo.output / layout.labels_name(tranche)).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def column_of(tranche: str) -> str:
    return "file_name" if tranche == "1" else "final_url"


# --- files --------------------------------------------------------------------


def test_layout_is_the_originals(demo: DemoReport) -> None:
    assert [tranche.name for tranche in layout.discover(demo.output)] == ["1", "2", "3"]
    for tranche, folder in zip("123", ("home", "tranch2", "tranch3"), strict=True):
        table = (demo.output / layout.labels_name(tranche)).read_bytes()
        assert table.startswith(b"\xef\xbb\xbf")
        columns = list(rows_of(demo, tranche)[0])
        assert columns[0] == column_of(tranche)
        assert ("exception_case" in columns) == (tranche == "3")
        with zipfile.ZipFile(demo.output / layout.zip_name(tranche)) as archive:
            names = archive.namelist()
            assert archive.testzip() is None
        assert len(set(names)) == len(names)
        pattern = rf"{folder}/[0-9a-f]{{64}}_cat-1_\d{{3}}\.(png|PNG|jpg|JPG|jpeg)"
        assert all(re.fullmatch(pattern, name) for name in names)


def test_tables_hold_only_known_values(demo: DemoReport) -> None:
    for tranche in "123":
        for row in rows_of(demo, tranche):
            for column, allowed in features.LABEL_VALUES.items():
                if column in row:
                    assert row[column] in ("", *allowed)


def test_contents_match_their_extensions_but_for_the_corrupt(demo: DemoReport) -> None:
    for report in demo.tranches:
        broken = 0
        with zipfile.ZipFile(demo.output / layout.zip_name(report.name)) as archive:
            for name in archive.namelist():
                try:
                    with Image.open(io.BytesIO(archive.read(name))) as image:
                        image.load()
                except (UnidentifiedImageError, OSError):
                    broken += 1
                    continue
                expected = "PNG" if name.lower().endswith("png") else "JPEG"
                assert image.format == expected
        assert broken == report.corrupt == len(CORRUPT)


def test_images_and_labels_that_miss_each_other_are_as_reported(demo: DemoReport) -> None:
    for report in demo.tranches:
        labelled = {row[column_of(report.name)] for row in rows_of(demo, report.name)}
        with zipfile.ZipFile(demo.output / layout.zip_name(report.name)) as archive:
            images = {name.split("/")[1] for name in archive.namelist()}
        assert len(labelled - images) == report.labels_without_image == 2
        assert len(images - labelled) == report.images_without_label == 2
        assert (len(images), len(labelled)) == (report.images, report.rows)


def test_every_quirk_comes_once_in_a_tranche() -> None:
    for clips in (len(QUIRKS) + 1, 15, 500):
        drawn = Counter(quirk_of(clip, clips) for clip in range(clips))
        del drawn[None]
        assert drawn == Counter(QUIRKS)


def test_same_seed_gives_the_same_bytes_with_any_number_of_processes(tmp_path: Path) -> None:
    for processes in (1, 2):
        draw_tranches(tmp_path / str(processes), clips=6, seed=3, processes=processes)
    draw_tranches(tmp_path / "other", clips=6, seed=4, processes=2)
    for tranche in "123":
        for name in (layout.zip_name(tranche), layout.labels_name(tranche)):
            first, second, other = (
                (tmp_path / folder / name).read_bytes() for folder in ("1", "2", "other")
            )
            assert first == second != other


def test_an_identical_demo_is_not_drawn_again(tmp_path: Path) -> None:
    first = draw_tranches(tmp_path, clips=3, seed=1)
    again = draw_tranches(tmp_path, clips=3, seed=1)
    assert (first.drawn, again.drawn) == (True, False)
    assert again.tranches == first.tranches

    table = tmp_path / layout.labels_name("2")
    whole = table.read_bytes()
    table.write_bytes(whole[:-5])
    assert draw_tranches(tmp_path, clips=3, seed=1).drawn
    assert table.read_bytes() == whole
    assert draw_tranches(tmp_path, clips=3, seed=2).drawn
    assert len(list(tmp_path.iterdir())) == 7  # zips, tables and the marker


def test_a_new_tranche_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    steps, together = tmp_path / "steps", tmp_path / "together"
    draw_tranches(steps, clips=3, seed=1)
    times = {path: path.stat().st_mtime_ns for path in steps.iterdir() if path.name != MARKER}
    told: list[tuple[int, int]] = []
    report = draw_tranches(
        steps, tranches=5, clips=5, seed=1, advance=lambda *counts: told.append(counts)
    )
    assert report.drawn
    assert told == [(1, 2), (2, 2)]  # nothing else is drawn
    assert [tranche.name for tranche in layout.discover(steps)] == ["1", "2", "3", "4", "5"]
    assert {path: path.stat().st_mtime_ns for path in times} == times

    assert draw_tranches(together, tranches=5, clips=5, seed=1).tranches == report.tranches
    for path in together.iterdir():
        assert path.read_bytes() == (steps / path.name).read_bytes()


def test_fewer_tranches_remove_only_those_that_were_drawn(tmp_path: Path) -> None:
    draw_tranches(tmp_path, tranches=4, clips=4, seed=1)
    own = tmp_path / layout.labels_name("9")
    own.touch()
    assert not draw_tranches(tmp_path, clips=3, seed=1).drawn
    assert own.exists()
    own.unlink()
    assert [tranche.name for tranche in layout.discover(tmp_path)] == ["1", "2", "3"]
    assert draw_tranches(tmp_path, tranches=4, clips=4, seed=1).drawn


def test_a_demo_that_was_stopped_goes_on_with_the_next_tranche(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_tranches(tmp_path, clips=3, seed=1, advance=stop)
    assert not (tmp_path / layout.zip_name("2")).exists()
    told: list[tuple[int, int]] = []
    draw_tranches(tmp_path, clips=3, seed=1, advance=lambda *counts: told.append(counts))
    assert told == [(1, 2), (2, 2)]
    assert len(layout.discover(tmp_path)) == 3


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--clips is 2"):
        draw_tranches(tmp_path, clips=2)
    with pytest.raises(InputError, match="--clips is 4, but each of the 5 tranches"):
        draw_tranches(tmp_path, tranches=5, clips=4)
    for tranches in (0, 21):
        with pytest.raises(InputError, match=f"--tranches is {tranches}"):
            draw_tranches(tmp_path, tranches=tranches)
    with pytest.raises(InputError, match="--seed is -1"):
        draw_tranches(tmp_path, seed=-1)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        draw_tranches(tmp_path / "file", clips=3)


def test_command_says_what_the_demo_is_not(tmp_path: Path) -> None:
    arguments = ["--output", str(tmp_path), "--tranches", "4", "--clips", "4"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "not its clinical accuracy" in result.output
    assert len(layout.discover(tmp_path)) == 4


# --- labels -------------------------------------------------------------------

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given(seeds)
def test_poses_are_what_they_are_called(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = people.sample_person(rng, "Patient", False)

    pose = people.standing(rng, person, 0.0, 0.0, 1.0)
    for _ in range(3):
        joints = skeleton(person, pose)
        ankles = [joints[f"{side}_ankle"][2] for side in ("left", "right")]
        assert 0 < min(ankles) < 0.1
        assert joints["pelvis"][2] > 0.42 * person.height
        assert joints["head"][2] > joints["chest"][2] > joints["pelvis"][2]
        pose = people.moved(rng, person, pose)

    pose = people.sitting(rng, person, 0.0, 0.0, 1.0, SEAT_HEIGHT)
    for _ in range(3):
        joints = skeleton(person, pose)
        for side in ("left", "right"):
            thigh = joints[f"{side}_knee"] - joints[f"{side}_hip"]
            assert abs(thigh[2]) < 0.35 * np.linalg.norm(thigh)
            assert joints[f"{side}_ankle"][2] < joints[f"{side}_knee"][2] - 0.2
        assert joints["head"][2] > joints["pelvis"][2] + 0.3 * person.height
        pose = people.moved(rng, person, pose)

    pose = people.lying(rng, person, 0.0, 0.0, 1.0, 0.6)
    for _ in range(3):
        joints = skeleton(person, pose)
        heights = [p[2] for name, p in joints.items() if name not in ("face", "crown")]
        assert min(heights) > 0.6
        assert joints["head"][2] < 0.6 + 0.18 * person.height
        pose = people.moved(rng, person, pose)


@pytest.mark.parametrize("style", map(style_of, range(1, 7)), ids=lambda style: style.folder)
def test_labels_follow_the_scene(style: Style) -> None:
    seen: Counter[str] = Counter()
    for number in range(12):
        rng = np.random.default_rng([11, number])
        clip = build_clip(rng, style, supersampling=0.5)
        frames = draw_clip(clip, rng)
        assert len(frames) == clip.frames
        for index, frame in enumerate(frames):
            assert frame.image.size == clip.size
            if frame.posture in features.POSTURES:
                seen["known"] += 1
                assert clip.kind == "shown"
                assert frame.posture == clip.actors[0].postures[index]
                assert frame.role == clip.actors[0].role
                assert frame.how_many != "None"
            elif clip.kind in ("hidden", "dark"):
                seen["unknown"] += 1
                assert frame.posture in ("", features.UNKNOWN_POSTURE)
    assert seen["known"] >= 10


def test_whoever_is_labelled_can_be_seen() -> None:
    """A labelled person changes the picture: without them it is another one."""
    for number in range(6):
        rng = np.random.default_rng([21, number])
        clip = build_clip(rng, STYLES[0], supersampling=0.5)
        if clip.kind != "shown":
            continue
        frame = draw_clip(clip, np.random.default_rng(0))[0]
        empty = draw_clip(replace(clip, actors=(), kind="empty"), np.random.default_rng(0))[0]
        difference = np.abs(np.asarray(frame.image, float) - np.asarray(empty.image, float))
        assert (difference.max(axis=2) > 25).mean() > 0.01
        assert empty.how_many == "None"


def test_tranches_have_a_character_of_their_own() -> None:
    """Near-infrared clips and camera heights differ as the styles say."""
    shares, heights = [], []
    for style in STYLES:
        clips = [
            build_clip(np.random.default_rng([31, n]), style, supersampling=0.2) for n in range(80)
        ]
        shares.append(np.mean([clip.light.infrared for clip in clips]))
        heights.append(np.mean([clip.views[0].eye[2] for clip in clips]))
    assert shares[0] < shares[1] < shares[2]
    assert heights[0] < heights[2] < heights[1]


def test_further_tranches_are_seen_by_other_cameras() -> None:
    styles = [style_of(tranche) for tranche in range(1, 21)]
    assert styles[:3] == list(STYLES)
    assert [style.number for style in styles] == list(range(1, 21))
    assert len({(style.size, style.camera_height) for style in styles}) == len(styles)
    assert styles == [style_of(tranche) for tranche in range(1, 21)]


# --- rays ---------------------------------------------------------------------


def distance_to(shape: Shape, points: np.ndarray) -> np.ndarray:
    """Signed distance, or a function with its sign and zeros, of points (N, 3)."""
    if isinstance(shape, RoundCone):
        # The smallest distance to the spheres that the cone is the hull of.
        share = np.linspace(0, 1, 401)[:, None]
        centres = shape.start * (1 - share) + shape.end * share
        radii = shape.start_radius * (1 - share) + shape.end_radius * share
        gaps = np.linalg.norm(points[:, None] - centres[None], axis=2) - radii.T
        return gaps.min(axis=1)
    if isinstance(shape, Ellipsoid):
        inner = np.linalg.inv(shape.axes) @ (points - shape.centre).T
        return np.linalg.norm(inner, axis=0) - 1
    assert isinstance(shape, Box)
    inner = np.abs(shape.turn.T @ (points - shape.centre).T) - np.array(shape.half)[:, None]
    return inner.max(axis=0)


def sample_shape(rng: np.random.Generator, kind: str) -> Shape:
    centre = rng.uniform(-0.3, 0.3, 3)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if kind == "cone":
        end = centre + rng.normal(size=3) * 0.4
        start_radius, end_radius = rng.uniform(0.05, 0.35, 2)
        return RoundCone(centre, end, start_radius, end_radius, GREY)
    if kind == "ellipsoid":
        return Ellipsoid(centre, turn * rng.uniform(0.1, 0.7, 3), GREY)
    half = rng.uniform(0.1, 0.7, 3)
    return Box(centre, (half[0], half[1], half[2]), turn, GREY)


@settings(max_examples=90)
@given(seeds, st.sampled_from(["cone", "ellipsoid", "box"]))
def test_rays_meet_a_shape_first_on_its_surface(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    shape = sample_shape(rng, kind)
    eye = rng.normal(size=3)
    eye *= 3 / np.linalg.norm(eye)
    directions = rng.uniform(-0.8, 0.8, (12, 3)) - eye
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hits = shape.hits(
        eye.astype(np.float32).reshape(3, 1), np.ascontiguousarray(directions.T, np.float32)
    )
    met = {int(ray): float(t) for ray, t in zip(hits.rays, hits.t, strict=True)}
    steps = np.linspace(0.5, 6, 120)
    for ray, direction in enumerate(directions):
        gaps = distance_to(shape, eye + steps[:, None] * direction)
        if ray not in met:
            assert gaps.min() > -3e-3
            continue
        assert abs(distance_to(shape, (eye + met[ray] * direction)[None])[0]) < 5e-3
        assert gaps[steps < met[ray] - 1e-2].min(initial=1.0) > -3e-3
    lengths = np.linalg.norm(hits.normal, axis=0)
    assert np.allclose(lengths, 1, atol=1e-3)
    # Only sides that face the eye are seen.
    assert ((hits.normal.T * directions[hits.rays]).sum(axis=1) < 0.02).all()
