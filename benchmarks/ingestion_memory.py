"""Ingestion's peak memory and speed at two numbers of pictures, beside bare Pillow.

    python -m benchmarks.ingestion_memory [--tranches ../shared/data/tranches] [--counts 600 6000]

Each figure comes from a process of its own. The photos are linked under as many
names as are asked for, so that disk space does not grow with them. Expect the same
peak for both counts; the rest of a process is Python, Beam and the libraries.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image
from rich.console import Console
from rich.table import Table

from components.tranches.master import build_master
from components.tranches.tfrecords import write_tfrecords
from schema import features

SIZE: Final = 512
TRANCHES: Final = 3


def bare_pillow(master: Path) -> None:
    """Decodes, converts and scales each picture, and keeps nothing."""
    with master.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            with Image.open(master.parent / row[features.FILE_PATH]) as image:
                image.convert("RGB").thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)


def ingestion(master: Path) -> None:
    """Writes all TFRecords, as `lookdeep tfrecords` does."""
    report = write_tfrecords(master, master.parent / "tfrecords", size=SIZE)
    assert not report.reused


WORKS: Final[dict[str, Callable[[Path], None]]] = {
    "bare Pillow, one thread": bare_pillow,
    "lookdeep tfrecords": ingestion,
}


def link_photos(source: Path, folder: Path, count: int) -> Path:
    """Makes a master table of as many pictures as asked for; returns its path."""
    with source.open(encoding="utf-8", newline="") as file:
        photos = list(csv.DictReader(file))
    images = folder / "images"
    images.mkdir(parents=True)
    master = folder / source.name
    with master.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, features.MASTER_COLUMNS)
        table.writeheader()
        for number in range(count):
            photo = photos[number % len(photos)]
            name = f"{number:06d}-{photo[features.FILE_NAME]}"
            os.link(source.parent / photo[features.FILE_PATH], images / name)
            table.writerow(
                photo
                | {
                    features.FILE_NAME: name,
                    features.FILE_PATH: f"{images.name}/{name}",
                    features.CLIP: f"{number // len(photos)}-{photo[features.CLIP]}",
                    features.TRANCHE: str(1 + number * TRANCHES // count),
                }
            )
    return master


def peak_memory() -> int:
    """The most memory that this process has had, bytes.

    Not getrusage: it counts what the parent had before this process was its own.
    """
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) * 1024


def measure(work: str, master: Path) -> None:
    """Does one work in this process and prints seconds and peak memory as JSON."""
    started = time.monotonic()
    WORKS[work](master)
    seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds, "peak": peak_memory()}))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tranches", type=Path, default=Path("../shared/data/tranches"))
    parser.add_argument("--counts", type=int, nargs="+", default=[600, 6000])
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "MASTER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        work, master = arguments.measure
        measure(work, Path(master))
        return
    table = Table("Work", title=f"Pictures scaled to fit {SIZE} x {SIZE}, {os.cpu_count()} cores")
    for heading in ("Pictures", "Seconds", "Pictures a second", "Peak MiB"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as scratch:
        photos = build_master(arguments.tranches, Path(scratch, "photos")).master
        for count in arguments.counts:
            master = link_photos(photos, Path(scratch, str(count)), count)
            for work in WORKS:
                command = [sys.executable, "-W", "ignore", "-m", "benchmarks.ingestion_memory"]
                run = subprocess.run(
                    [*command, "--measure", work, str(master)], stdout=subprocess.PIPE, check=True
                )
                figures = json.loads(run.stdout)
                table.add_row(
                    work,
                    f"{count:,}",
                    f"{figures['seconds']:.1f}",
                    f"{count / figures['seconds']:.0f}",
                    f"{figures['peak'] / 2**20:.0f}",
                )
    Console().print(table)


if __name__ == "__main__":
    main()
