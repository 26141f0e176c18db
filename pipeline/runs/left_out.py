"""What ingestion left out of the data, and which rows it found to contradict themselves."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schema import features

MOST_EXAMPLES: Final = 5

# Rejected rows that differ in a name alone have the same reason.
_NEAR_NAME: Final = re.compile(r"; but .* differs in (.* only)$", re.DOTALL)


@dataclass(frozen=True)
class Reject:
    """Images or rows that are not in the data, by reason."""

    tranche: str
    reason: str
    count: int
    example: str  # one of the file names


@dataclass(frozen=True)
class Contradiction:
    """Rows whose labels contradict each other; they stay in the data."""

    kind: str
    count: int
    examples: list[str]  # a few file names


def read_rejects(data_dir: Path) -> list[Reject]:
    """Reads what ingestion left out when it joined labels to images, and when it opened images.

    A name that a spreadsheet would run as a formula keeps the single quote that
    `components.ingest.spreadsheet` put before it.

    Args:
      data_dir: OUT/data.

    Returns:
      By tranche, the most frequent reason first. A table that is not there has none.
    """
    # Imported here and below, because it brings pandas and Beam along.
    from components.ingest import master, tfrecords

    paths = [
        data_dir / master.REJECTS_NAME,
        *sorted((data_dir / "tfrecords").glob(f"*/{tfrecords.REJECTS_NAME}")),
    ]
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for row in (row for path in paths for row in _rows(path)):
        reason = _NEAR_NAME.sub(r"; but one differs in \1", row["reason"])
        key = row["tranche"], reason
        counts[key] += 1
        examples.setdefault(key, row["file_name"])
    found = [Reject(*key, count, examples[key]) for key, count in counts.items()]
    return sorted(found, key=lambda reject: (features.tranche_order(reject.tranche), -reject.count))


def read_contradictions(data_dir: Path) -> list[Contradiction]:
    """Reads which rows contradict themselves: one entry for each kind, with some file names.

    Args:
      data_dir: OUT/data.
    """
    from components.ingest import master

    names: dict[str, list[str]] = {}
    for row in _rows(data_dir / master.CONTRADICTIONS_NAME):
        names.setdefault(row["reason"], []).append(row["file_name"])
    return [Contradiction(kind, len(found), found[:MOST_EXAMPLES]) for kind, found in names.items()]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, restval="")
