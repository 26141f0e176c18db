"""Writes the pictures of tranch_master.csv to TFRecords, one folder for each tranche.

    OUT/<tranche>/images-00000-of-00003.tfrecord.gz   tf.train.Examples
    OUT/<tranche>/rejects.csv                         rows without a usable picture, and why
    OUT/<tranche>/manifest.json                       counts, and what the folder was made from

The unit of work is a shard: a Beam worker converts the pictures of a few hundred rows one after
the other into one file. So memory does not grow with the number of pictures (Beam's own sink
would hold all of them to shuffle them), the rows keep their order, and a shard that fails is
simply written again.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.code_digest import code_digest
from components.errors import DataError, InputError
from components.files import INCOMING, begin, publish
from components.ingest.spreadsheet import harmless
from components.ingest.staging import REJECT_COLUMNS, ShardedFolder, stage
from schema.features import tranche_order

if TYPE_CHECKING:  # it brings Beam along
    from components.ingest.conversion import Advance

MANIFEST_NAME: Final = "manifest.json"
REJECTS_NAME: Final = "rejects.csv"

# This machine's engine: threads, because Pillow works without the interpreter's lock; one for
# each core.
LOCAL_BEAM_ARGS: Final = (
    "--runner=DirectRunner",
    "--direct_running_mode=multi_threading",
    "--direct_num_workers=0",
)


@dataclass(frozen=True)
class ConversionCounts:
    """What became of one tranche's rows; also the content of its manifest.

    Attributes:
      rows: rows of tranch_master.csv; each is either written or rejected.
      written: examples in the TFRecords.
      rejected: rows of the rejects table.
      postures: written examples by posture.
      reasons: rejected rows by reason.
    """

    rows: int
    written: int
    rejected: int
    postures: dict[str, int]
    reasons: dict[str, int]


@dataclass(frozen=True)
class TFRecordsReport:
    """What `write_tfrecords` found and did.

    Attributes:
      tranches: counts by tranche, in the order of tranch_master.csv.
      reused: tranches that had not changed and were left alone.
      removed: tranches whose folder was deleted, because no row names them any more.
    """

    tranches: dict[str, ConversionCounts]
    reused: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def written(self) -> int:
        """Examples in all TFRecords."""
        return sum(counts.written for counts in self.tranches.values())

    @property
    def reasons(self) -> Counter[str]:
        """Rejected rows by reason, all tranches together."""
        total: Counter[str] = Counter()
        for counts in self.tranches.values():
            total.update(counts.reasons)
        return total


def write_tfrecords(
    master_csv: Path,
    out_dir: Path,
    *,
    size: int,
    beam_args: Sequence[str] = LOCAL_BEAM_ARGS,
    advance: "Advance | None" = None,
) -> TFRecordsReport:
    """Converts the pictures of all tranches that have changed.

    A tranche has changed if one of these has: its rows, the size or modification time of one of
    its image files, `size`, the converting code; or if its folder is not complete. All other
    folders stay as they are. One Beam job converts all changed tranches in a staging folder;
    finished folders then replace the old ones, so that a run that breaks off leaves those.

    Args:
      master_csv: the table that `lookdeep master` writes.
      out_dir: gets one folder for each tranche. Workers on other hosts have to see it and the
        pictures under the same paths.
      size: side of the square that the pictures are scaled down to fit, in pixels.
      beam_args: Beam's command line options.
      advance: is told a few times a second how many pictures are done.

    Returns:
      Counts by tranche, what was reused and what was removed.

    Raises:
      InputError: a path cannot be used.
      DataError: tranch_master.csv is not what `lookdeep master` writes, or not one
        picture of a tranche can be used.
      RuntimeError: the Beam job failed, or a row ended neither in the TFRecords nor in the
        rejects table.
    """
    out_dir = out_dir.resolve()
    try:
        # One level deeper than readers of */images-* look.
        staging = begin(out_dir)
        tranches = stage(master_csv, staging, [size, *_code()])
        found = {name: _valid(out_dir / name, staged.digest) for name, staged in tranches.items()}
        reused = {name: counts for name, counts in found.items() if counts}
        changed = {name: staged for name, staged in tranches.items() if name not in reused}
        if changed:
            from components.ingest import conversion  # not above: it takes seconds

            conversion.convert(list(changed.values()), size, beam_args, advance)
        written = {name: _complete(name, staged) for name, staged in changed.items()}
        for name, staged in changed.items():
            _replace(staged.folder, out_dir / name)
        removed = _remove_vanished(out_dir, tranches)
    except OSError as error:
        raise InputError(
            f"{error.filename or out_dir} cannot be used: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(out_dir / INCOMING, ignore_errors=True)
    report = TFRecordsReport(
        tranches={name: reused.get(name) or written[name] for name in tranches},
        reused=tuple(reused),
        removed=removed,
    )
    for name, counts in report.tranches.items():
        if not counts.written:
            reason = max(counts.reasons, key=lambda each: counts.reasons[each])
            raise DataError(
                f"None of the pictures of tranche {name} can be used, most often because of"
                f" {reason!r}; see {out_dir / name / REJECTS_NAME}. Replace them, or take the"
                " tranche away."
            )
    return report


# -- Which tranches have changed ----------------------------------------------------------


def _code() -> list[str]:
    """Identifies the code that pictures and rows go through."""
    return [code_digest("components.ingest.tfrecords"), version("pillow")]


def _valid(folder: Path, digest: str) -> ConversionCounts | None:
    """Returns the counts of a folder that is complete and up to date, else None."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        if manifest["digest"] != digest:
            return None
        present = {path.name: path.stat().st_size for path in folder.iterdir()}
        del present[MANIFEST_NAME]
        if present != manifest["bytes"]:
            return None
        return ConversionCounts(**manifest["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no manifest of this version: the folder is written again


def _remove_vanished(out_dir: Path, tranches: Container[str]) -> tuple[str, ...]:
    """Deletes folders that have a manifest, but whose tranche no row names."""
    present = (path.parent.name for path in out_dir.glob(f"*/{MANIFEST_NAME}"))
    vanished = sorted((name for name in present if name not in tranches), key=tranche_order)
    for name in vanished:
        shutil.rmtree(out_dir / name)
    return tuple(vanished)


# -- Finished folders ---------------------------------------------------------------------


def _complete(tranche: str, staged: ShardedFolder) -> ConversionCounts:
    """Adds rejects table and manifest to a staged folder, and checks that no row is lost."""
    folder = staged.folder
    postures, reasons = Counter[str](), Counter[str]()
    with (folder / REJECTS_NAME).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(REJECT_COLUMNS)
        for shard in staged.shards():
            outcome = json.loads(shard.outcome.read_bytes())
            postures.update(outcome["postures"])
            reasons.update(reason for *_, reason in outcome["rejects"])
            table.writerows(map(harmless, outcome["rejects"]))
    for scratch in folder.glob(".*"):  # rows, outcomes, and attempts that failed
        scratch.unlink()
    counts = ConversionCounts(
        rows=staged.row_count,
        written=postures.total(),
        rejected=reasons.total(),
        postures=dict(postures.most_common()),
        reasons=dict(reasons),
    )
    if counts.written + counts.rejected != counts.rows:
        raise RuntimeError(
            f"tranche {tranche}: {counts.written} examples and {counts.rejected} rejects do not"
            f" add up to {counts.rows} rows"
        )
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    manifest = {"digest": staged.digest, "counts": asdict(counts), "bytes": sizes}
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
    return counts


def _replace(staged: Path, folder: Path) -> None:
    """Puts a finished folder in the place of an older one."""
    if folder.exists():
        folder.rename(staged.with_name(f"{staged.name}.old"))
    publish(staged, folder)
