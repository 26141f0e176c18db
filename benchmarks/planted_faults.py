"""How many planted faults the review page of a run finds.

    python -m benchmarks.planted_faults [--data-root TRANCHES --base-weights FILE.h5]

In one tranche, the labels Lying and Sitting are swapped in a tenth of the clips that have one of
them. 20 images are added under new clip names, each a slightly cropped, brighter, recompressed
copy of another. Then the whole pipeline runs as `lookdeep run` does, without accuracy floors, and
sections 5 and 6 of the page are searched for the faults. Without --data-root, the demo is drawn;
that takes seven minutes on 2 cores.
"""

import argparse
import csv
import hashlib
import io
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tomli_w
from PIL import Image, ImageEnhance
from rich.console import Console
from rich.table import Table

from benchmarks import stages
from components.demo.tranches import draw_tranches
from components.examples.example_gen import split_of_clip
from components.ingest import layout
from components.ingest.labels import clip_of
from pipeline.config import SplitShares
from pipeline.review import collect
from pipeline.runs.reader import Runs
from schema import features

FAULTY_TRANCHE: Final = "2"
SWAPPED: Final = {"Lying": "Sitting", "Sitting": "Lying"}
SHARE_OF_CLIPS: Final = 0.1
COPIES: Final = 20
SEED: Final = 4
TEST: Final = 2  # position of the test split


@dataclass(frozen=True)
class Planted:
    """Names of the images with a swapped label, and pairs of a copy and its original."""

    swapped: set[str]
    copies: set[frozenset[str]]


def plant(data_root: Path, folder: Path) -> Planted:
    """Copies a data root and plants the faults in one of its tranches."""
    shutil.copytree(data_root, folder)
    rng = random.Random(SEED)  # noqa: S311 (drawn data, no secret)
    tranche = next(each for each in layout.discover(folder) if each.name == FAULTY_TRANCHE)
    assert tranche.images_zip  # noqa: S101 (for the type checker)
    with tranche.labels_csv.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    name_column = columns[0]
    names = {row[name_column].rpartition("/")[2]: row for row in rows}

    clips = sorted({clip_of(name) or "" for name, row in names.items() if _known(row)})
    spoilt = set(rng.sample(clips, round(len(clips) * SHARE_OF_CLIPS)))
    swapped = {name for name, row in names.items() if clip_of(name) in spoilt and _known(row)}
    for name in swapped:
        names[name][features.POSTURE] = SWAPPED[names[name][features.POSTURE]]

    copies = set()
    with zipfile.ZipFile(tranche.images_zip, "a") as archive:
        entries = {entry.rpartition("/")[2]: entry for entry in archive.namelist()}
        originals = sorted(
            name
            for name in entries.keys() & names.keys()
            if names[name][features.POSTURE] in features.POSTURES and name not in swapped
        )
        for number, original in enumerate(rng.sample(originals, COPIES)):
            clip = hashlib.sha256(f"planted {number}".encode()).hexdigest()
            name = f"{clip}_cat-1_000.jpg"
            archive.writestr(
                f"{entries[original].rpartition('/')[0]}/{name}",
                _look_alike(archive.read(entries[original])),
            )
            rows.append(names[original] | {name_column: name})
            copies.add(frozenset((name, original)))
    with tranche.labels_csv.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return Planted(swapped, copies)


def _known(row: dict[str, str]) -> bool:
    return row[features.POSTURE] in SWAPPED


def _look_alike(encoded: bytes) -> bytes:
    with Image.open(io.BytesIO(encoded)) as image:
        width, height = image.size
        box = (width * 0.01, height * 0.01, width * 0.99, height * 0.99)
        copy = image.convert("RGB").resize(image.size, Image.Resampling.BICUBIC, box)
    content = io.BytesIO()
    ImageEnhance.Brightness(copy).enhance(1.1).save(content, "JPEG", quality=70)
    return content.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    """Plants the faults, runs the pipeline and prints what the page finds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--base-weights", default="none")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = given.data_root or folder / "demo"
        if given.data_root is None:
            draw_tranches(source)
            demo = Path("pipeline/demo.toml").read_text(encoding="utf-8")
        else:
            demo = ""
        planted = plant(source, folder / "tranches")
        gates = tomli_w.dumps({"acceptance": stages.NO_FLOORS.model_dump()})
        (folder / "run.toml").write_text(f"{demo}\n{gates}", encoding="utf-8")
        command = [sys.executable, "local_runner.py", "--data-root", str(folder / "tranches")]
        command += ["--output-root", str(folder / "out"), "--config", str(folder / "run.toml")]
        command += [] if given.data_root is None else ["--base-weights", given.base_weights]
        subprocess.run(command, check=True)  # noqa: S603 (a command of ours)
        show(planted, folder / "out")


def show(planted: Planted, out: Path) -> None:
    """Prints how many of the planted faults the page of the last run lists."""
    shares = list(SplitShares().model_dump().values())
    in_test = {
        name
        for name in planted.swapped
        if split_of_clip((clip_of(name) or "").encode(), shares) == TEST
    }
    runs = Runs(out)
    review = collect.collect(runs.read(runs.last()))
    assert review.pictures and review.data  # noqa: S101 (for the type checker)
    shown = review.pictures.shown
    doubted = {shown[index].file_name for index in review.pictures.label_errors}
    mistakes = {shown[index].file_name for index in review.pictures.mistakes}
    # Of two clips the page lists only the nearest pair of frames, which may be another one.
    planted_clips = {frozenset(map(clip_of, names)) for names in planted.copies}
    clips = {frozenset(image.clip for image in pair.images) for pair in review.data.duplicates}
    table = Table("planted", "searched in", "planted there", "found", "others listed there")
    for where, named in (
        ("likely label errors of the test split", doubted),
        ("most confident mistakes of the test split", mistakes),
    ):
        found = [str(len(names)) for names in (in_test, in_test & named, named - in_test)]
        table.add_row("swapped labels", where, *found)
    table.add_row(
        "near-duplicates",
        "near-duplicates (pairs of clips)",
        str(len(planted.copies)),
        str(len(planted_clips & clips)),
        str(len(clips - planted_clips)),
    )
    Console().print(table)


if __name__ == "__main__":
    main()
