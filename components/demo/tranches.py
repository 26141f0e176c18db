"""Files of the demo: zips and label tables in the original's layout, with its quirks."""

import csv
import hashlib
import io
import json
import multiprocessing
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL
import scipy
from PIL import Image

from components.code_digest import code_digest
from components.demo.picture import Frame, draw_clip
from components.demo.scene import STYLES, Clip, Style, build_clip, choose, style_of
from components.errors import InputError
from components.files import replacing
from components.ingest import layout
from schema import features

DEFAULT_TRANCHES: Final = len(STYLES)
MOST_TRANCHES: Final = 20
CLIPS_EACH: Final = 500  # clips in a tranche by default
DEFAULT_SEED: Final = 20240701
MARKER: Final = "demo.json"
SUPERSAMPLING: Final = 1.2  # rays along each side of a pixel
_ZIP_TIME: Final = (2024, 7, 1, 0, 0, 0)  # of every entry, so that zips are reproducible

# What is wrong with the first frame of some clips, a few in each tranche.
TRUNCATED_JPEG: Final = "truncated JPEG"
TRUNCATED_PNG: Final = "truncated PNG"
EMPTY: Final = "empty file"
TEXT: Final = "text named .png"
NO_LABEL: Final = "image without label"
NO_IMAGE: Final = "label without image"
NOBODY: Final = "posture, but how_many None"
BAD_IMAGE: Final = "posture, but Bad Image"
QUIRKS: Final = (
    TRUNCATED_JPEG,
    NO_LABEL,
    NO_IMAGE,
    TEXT,
    NOBODY,
    EMPTY,
    NO_LABEL,
    NO_IMAGE,
    TRUNCATED_PNG,
    BAD_IMAGE,
)
CORRUPT: Final = (TRUNCATED_JPEG, TRUNCATED_PNG, EMPTY, TEXT)

# Called with clips drawn and clips in all.
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class DrawnTranche:
    """What was drawn of one tranche.

    Attributes:
      name: "1", "2" and so on.
      clips: clips.
      images: files in the zip, the corrupt ones included.
      rows: rows of the label table.
      corrupt: files that no reader can open completely.
      images_without_label: files that no row names.
      labels_without_image: rows whose file is missing.
      postures: rows by `primary_posture`, blank being the empty string.
    """

    name: str
    clips: int
    images: int
    rows: int
    corrupt: int
    images_without_label: int
    labels_without_image: int
    postures: dict[str, int]


@dataclass(frozen=True)
class DemoReport:
    """Where the demo is and what it contains.

    Attributes:
      output: the data root, to give to `lookdeep run --data-root`.
      drawn: False if all tranches were there already.
      tranches: counts by tranche, in order.
    """

    output: Path
    drawn: bool
    tranches: tuple[DrawnTranche, ...]


@dataclass(frozen=True)
class Entry:
    """A file of a zip and its row in the label table; either may be missing."""

    name: str
    content: bytes | None
    row: dict[str, str] | None
    quirk: str | None


def draw_tranches(
    out_dir: Path,
    *,
    tranches: int = DEFAULT_TRANCHES,
    clips: int | None = None,
    seed: int = DEFAULT_SEED,
    processes: int | None = None,
    advance: Advance | None = None,
) -> DemoReport:
    """Draws the demo's tranches, except those that are there already.

    Memory stays flat: clips go to the zip as they are drawn.

    Args:
      out_dir: folder for the zips and label tables; made if missing. Tranches beyond `tranches`
        that were drawn there earlier are removed.
      tranches: how many.
      clips: clips in all, shared evenly by the tranches; two pictures each on average. None draws
        `CLIPS_EACH` for each tranche.
      seed: of all randomness. A tranche depends on its clips, the seed, the code and the versions
        of the libraries that draw, not on other tranches or on the number of processes.
      processes: how many draw in parallel; None for one for each core.
      advance: is told of each clip.

    Returns:
      What is in the folder now.

    Raises:
      InputError: no tranches or too many, fewer clips than tranches, a negative seed, or the
        folder cannot be written.
    """
    if not 1 <= tranches <= MOST_TRANCHES:
        raise InputError(f"--tranches is {tranches}; give a number from 1 to {MOST_TRANCHES}.")
    if clips is not None and clips < tranches:
        raise InputError(
            f"--clips is {clips}, but each of the {tranches} tranches needs one; give more."
        )
    if seed < 0:
        raise InputError(f"--seed is {seed}; give a number from 0 on.")
    clips = CLIPS_EACH * tranches if clips is None else clips
    shares = [clips // tranches + (k < clips % tranches) for k in range(tranches)]
    wanted = {str(number): count for number, count in enumerate(shares, start=1)}
    recipe = _recipe(seed)
    earlier = _read_marker(out_dir, recipe)
    reports = {name: each for name, each in earlier.items() if each.clips == wanted.get(name)}
    missing = {name: count for name, count in wanted.items() if name not in reports}
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        _write_marker(out_dir, recipe, reports)
        for name in set(earlier) - set(wanted):
            for file in _files(name):
                (out_dir / file).unlink()
        for report in _draw(out_dir, missing, seed, processes, advance):
            reports[report.name] = report
            _write_marker(out_dir, recipe, reports)
    except OSError as error:
        raise InputError(
            f"The demo cannot be written to {out_dir}: {error.strerror}; give another folder."
        ) from error
    return DemoReport(out_dir, bool(missing), tuple(reports[name] for name in wanted))


def _recipe(seed: int) -> dict[str, Any]:
    """Everything that decides the files, beside the clips of a tranche."""
    return {
        "seed": seed,
        "code": code_digest("components.demo.tranches"),
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def _files(tranche: str) -> tuple[str, str]:
    """The names of a tranche's files."""
    return layout.zip_name(tranche), layout.labels_name(tranche)


def _write_marker(out_dir: Path, recipe: dict[str, Any], reports: dict[str, DrawnTranche]) -> None:
    marker = {
        "note": "Drawn pictures: they show the machinery, not clinical accuracy.",
        "recipe": recipe,
        "sizes": {
            file: (out_dir / file).stat().st_size for name in reports for file in _files(name)
        },
        "tranches": [asdict(report) for report in reports.values()],
    }
    with replacing(out_dir / MARKER) as file:
        json.dump(marker, file, indent=2)


def _read_marker(out_dir: Path, recipe: dict[str, Any]) -> dict[str, DrawnTranche]:
    """Returns the tranches of a folder that have this recipe and files of unchanged size."""
    try:
        marker = json.loads((out_dir / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    if marker.get("recipe") != recipe:
        return {}

    def is_whole(name: str) -> bool:
        path = out_dir / name
        return path.is_file() and path.stat().st_size == marker["sizes"][name]

    reports = [DrawnTranche(**report) for report in marker["tranches"]]
    return {each.name: each for each in reports if all(map(is_whole, _files(each.name)))}


def _draw(
    out_dir: Path,
    wanted: dict[str, int],
    seed: int,
    processes: int | None,
    advance: Advance | None,
) -> Iterator[DrawnTranche]:
    """Draws tranches of so many clips by name, and yields each when its files are there."""
    if not wanted:
        return
    tasks = [
        (seed, int(name), clip, quirk_of(clip, count))
        for name, count in wanted.items()
        for clip in range(count)
    ]
    workers = processes or len(os.sched_getaffinity(0))
    # Not forked: the caller may have threads, TensorFlow's for example.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        drawn = pool.map(_draw_task, tasks, chunksize=4)
        try:
            done = 0
            for name, count in wanted.items():

                def next_clips(count: int = count) -> Iterator[list[Entry]]:
                    nonlocal done
                    for _ in range(count):
                        yield next(drawn)
                        done += 1
                        if advance:
                            advance(done, len(tasks))

                yield _write_tranche(out_dir, style_of(int(name)), count, seed, next_clips())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def quirk_of(clip: int, clips: int) -> str | None:
    """What is wrong with a clip's first frame: each quirk once, spread over the clips."""
    for number, quirk in enumerate(QUIRKS, start=1):
        if clip == number * clips // (len(QUIRKS) + 1):
            return quirk
    return None


def _write_tranche(
    out_dir: Path, style: Style, clips: int, seed: int, drawn: Iterator[list[Entry]]
) -> DrawnTranche:
    """Writes one zip and one label table."""
    name = str(style.number)
    rows: list[dict[str, str]] = []
    images = 0
    quirks: Counter[str | None] = Counter()
    with (
        replacing(out_dir / layout.zip_name(name), "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for entries in drawn:
            for entry in entries:
                quirks[entry.quirk] += 1
                if entry.row is not None:
                    rows.append(entry.row)
                if entry.content is not None:
                    images += 1
                    info = zipfile.ZipInfo(f"{style.folder}/{entry.name}", _ZIP_TIME)
                    info.external_attr = 0o644 << 16
                    archive.writestr(info, entry.content)
    # The real tables are in no order.
    order = np.random.default_rng([seed, style.number]).permutation(len(rows))
    columns = [
        style.image_column,
        features.HOW_MANY,
        features.POSTURE,
        features.OCCLUDED,
        features.PERSON_TYPE,
    ]
    if style.has_exception_case:
        columns.append(features.EXCEPTION_CASE)
    place = out_dir / layout.labels_name(name)
    with replacing(place, encoding="utf-8-sig", newline="") as table:
        writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[k] for k in order)
    return DrawnTranche(
        name=name,
        clips=clips,
        images=images,
        rows=len(rows),
        corrupt=sum(quirks[quirk] for quirk in CORRUPT),
        images_without_label=quirks[NO_LABEL],
        labels_without_image=quirks[NO_IMAGE],
        postures=dict(sorted(Counter(row[features.POSTURE] for row in rows).items())),
    )


def _draw_task(task: tuple[int, int, int, str | None]) -> list[Entry]:
    """Draws one clip, in a process of the pool."""
    seed, tranche, number, quirk = task
    style = style_of(tranche)
    rng = np.random.default_rng([seed, style.number, number])
    clip = build_clip(rng, style, supersampling=SUPERSAMPLING)
    name = hashlib.sha256(f"lookdeep demo {seed} {style.number} {number}".encode()).hexdigest()
    return [
        _entry(rng, style, clip, f"{name}_cat-1_{k:03d}", frame, quirk if k == 0 else None)
        for k, frame in enumerate(draw_clip(clip, rng))
    ]


def _entry(
    rng: np.random.Generator,
    style: Style,
    clip: Clip,
    stem: str,
    frame: Frame,
    quirk: str | None,
) -> Entry:
    """Encodes a frame and fills its row, both with the intended faults."""
    if quirk in (NOBODY, BAD_IMAGE) and frame.posture not in features.POSTURES:
        quirk = None  # no posture to contradict
    if quirk == BAD_IMAGE and not style.has_exception_case:
        quirk = None
    extension = choose(rng, style.extensions)
    if quirk == TRUNCATED_JPEG:
        extension = "jpg"
    elif quirk in (TRUNCATED_PNG, TEXT):
        extension = "png"
    file_name = f"{stem}.{extension}"
    exception = "No"
    if clip.kind == "dark" or quirk == BAD_IMAGE:
        exception = "Bad Image"
    elif rng.random() < (0.3 if clip.kind == "hidden" else 0.02):
        exception = "Yes"
    row = {
        style.image_column: file_name,
        features.HOW_MANY: "None" if quirk == NOBODY else frame.how_many,
        features.POSTURE: frame.posture,
        features.OCCLUDED: frame.occluded,
        features.PERSON_TYPE: frame.role,
        features.EXCEPTION_CASE: exception,
    }
    image = frame.image
    if quirk == BAD_IMAGE:  # a broken transmission: coarse, but the posture is visible
        small = image.resize((image.width // 4, image.height // 4), Image.Resampling.BOX)
        image = small.resize(image.size, Image.Resampling.NEAREST)
    whole = _encode(rng, image, extension, clip.light.infrared)
    content: bytes | None = whole
    if quirk in (TRUNCATED_JPEG, TRUNCATED_PNG):
        content = whole[: len(whole) * 2 // 5]
    elif quirk == EMPTY:
        content = b""
    elif quirk == TEXT:
        content = b"<html><body>403 Forbidden</body></html>\n"
    elif quirk == NO_IMAGE:
        content = None
    return Entry(file_name, content, None if quirk == NO_LABEL else row, quirk)


def _encode(rng: np.random.Generator, image: Image.Image, extension: str, infrared: bool) -> bytes:
    # Some near-infrared cameras write one channel.
    if infrared and rng.random() < 0.5:
        image = image.convert("L")
    out = io.BytesIO()
    if extension.lower() == "png":
        # Noise does not repeat, so that a search for repetitions would only take time.
        image.save(out, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    else:
        image.save(out, "JPEG", quality=int(rng.integers(50, 93)))
    return out.getvalue()
