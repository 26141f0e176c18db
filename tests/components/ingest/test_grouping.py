import uuid
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import pytest

from components.ingest.master import build_master

CLIPS, FRAMES = 8, 3


def digits(name: str) -> str:
    return md5(name.encode()).hexdigest()  # noqa: S324 (no secret)


# What becomes of the clip of an image; and as how many of the 24 images' clips they are known.
PREFIXES: dict[str, Callable[[str, int], str]] = {
    "Label Studio": lambda clip, n: f"{digits(f'{clip}{n}')[:8]}-{clip}",
    "a UUID": lambda clip, n: f"{uuid.UUID(digits(f'{clip}{n}'))}_{clip}",
    "a number": lambda clip, n: f"{ord(clip[-1]) * 10 + n:05}_{clip}",
    "random letters": lambda clip, n: f"{digits(f'{n}{clip}')[:6].translate(LETTERS)} {clip}",
    "a time": lambda clip, n: f"2024-07-01T10-{ord(clip[-1]) % 60}-{n}-{clip}",
    "a batch": lambda clip, n: f"batch{n}.{clip}",
    "half of them": lambda clip, n: clip if n else f"{digits(clip)[:8]}-{clip}",
}
LETTERS = str.maketrans("0123456789", "ghijklmnop")


def warnings(
    tmp_path: Path, write_table: Callable[..., Path], tranches: dict[str, list[str]]
) -> list[str]:
    for tranche, names in tranches.items():
        write_table(tmp_path / f"tranch{tranche}_labels.csv", [(name,) for name in names])
    return build_master(tmp_path, tmp_path / "out", labels_only=True).warnings


def images(clip_of: Callable[[str, int], str], first: int = 0) -> list[str]:
    """Names of images, three frames of each of eight clips."""
    clips = [f"ward 3_room{chr(97 + first + number)}" for number in range(CLIPS)]
    return [f"{clip_of(clip, n)}_cat-1_{n:03}.png" for clip in clips for n in range(FRAMES)]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_clips_that_differ_by_a_prefix_only(
    tmp_path: Path, write_table: Callable[..., Path], prefix: str
) -> None:
    names = images(PREFIXES[prefix])
    (warning,) = warnings(tmp_path, write_table, {"1": names})
    clips = len({name.partition("_cat-1_")[0] for name in names})
    assert warning.startswith(f"The {clips} clips would be {CLIPS} without the first part")


def test_one_tranche_with_a_prefix_is_named(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    good = [
        f"{digits(str(clip))}_cat-1_{frame}.png" for clip in range(400) for frame in range(FRAMES)
    ]
    (warning,) = warnings(tmp_path, write_table, {"1": good, "2": images(PREFIXES["Label Studio"])})
    assert warning.startswith("The 24 clips in tranche 2 would be 8")


def test_a_tranche_that_came_again_with_a_prefix(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    again = images(lambda clip, n: f"9f767c45-{clip}")
    frames = [name.replace("_00", "_10") for name in again]
    (warning,) = warnings(tmp_path, write_table, {"1": images(lambda clip, n: clip), "2": frames})
    assert warning.startswith("The 16 clips would be 8 without")


def test_clips_of_one_image(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    (warning,) = warnings(
        tmp_path, write_table, {"1": [f"{digits(str(n))}_cat-1_000.png" for n in range(20)]}
    )
    assert warning.startswith("20 of 20 clips have a single image.")


@pytest.mark.parametrize(
    "names",
    [
        images(lambda clip, n: clip),
        # Wards that number their clips alike are no parts of one clip.
        [f"ward{w}-{clip}_cat-1_{n:03}.png" for w in "ab" for clip in range(9) for n in range(2)],
        # Half of the clips have one image, as in the published tables.
        [f"{digits(str(n // 3 * 2 + (n % 3 > 0)))}_cat-1_{n}.png" for n in range(30)],
        ["a_cat-1_0.png", "b_cat-1_0.png"],
    ],
)
def test_clips_that_are_well(
    tmp_path: Path, write_table: Callable[..., Path], names: list[str]
) -> None:
    assert warnings(tmp_path, write_table, {"1": names}) == []


def test_the_published_tables_are_well(tmp_path: Path, shared_data: Path) -> None:
    assert build_master(shared_data / "tranches", tmp_path / "photos").warnings == []
    labels = build_master(shared_data / "labels", tmp_path / "labels", labels_only=True)
    assert labels.warnings == []
