"""Writes tranch_master.csv and its pictures to TFRecords, one folder a tranche.

    OUT/<tranche>/images-00000-of-00003.tfrecord.gz   tf.train.Examples
    OUT/<tranche>/rejects.csv                         rows without a usable picture, and why
    OUT/<tranche>/manifest.json                       counts, and what the folder was made from

The unit of work is a shard: a Beam worker converts the pictures of a few hundred
rows one after the other into one file. So memory does not grow with the number of
pictures (Beam's own sink would hold all of them to share them out), the rows keep
their order, and a shard that fails is simply written again.
"""

import csv
import gzip
import json
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from components.code_digest import code_digest
from components.errors import DataError, InputError
from components.ingest.converter import Converter, Pool
from components.ingest.spreadsheet import harmless
from components.ingest.staging import Shard, Staged, stage
from schema import features

MANIFEST_NAME: Final = "manifest.json"
REJECTS_NAME: Final = "rejects.csv"
REJECT_COLUMNS: Final = (
    features.TRANCHE,
    features.FILE_NAME,
    features.FILE_PATH,
    "reason",
)

BEAM_ARGS: Final = (
    "--runner=DirectRunner",
    "--direct_running_mode=multi_threading",  # Pillow works without the interpreter's lock
    "--direct_num_workers=0",  # one for each core
)

# What is being written lies here, one level deeper than readers of */images-* look.
_STAGING: Final = ".staging"

# Called with the number of pictures done and to do.
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class TrancheCounts:
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

    tranches: dict[str, TrancheCounts]
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
    beam_args: Sequence[str] = BEAM_ARGS,
    advance: Advance | None = None,
) -> TFRecordsReport:
    """Converts the pictures of all tranches that have changed.

    A tranche has changed if its rows, the size or time of change of one of its
    image files, `size` or the converting code have, or if its folder is not
    complete. Every other folder is not touched. All changed tranches share one Beam job
    that writes to a staging folder; finished folders then take the place of old
    ones, so that a run that breaks off leaves the old state.

    Args:
      master_csv: the table that `lookdeep master` writes.
      out_dir: gets one folder a tranche; workers on other hosts have to see it and
        the images under the same path.
      size: side of the square that the pictures are scaled down to fit, in pixels.
      beam_args: Beam's command line options.
      advance: is told how many pictures are done, where Beam's workers are threads
        of this process.

    Returns:
      Counts by tranche, what was reused and what was removed.

    Raises:
      InputError: a path cannot be used.
      DataError: tranch_master.csv is not what `lookdeep master` writes, or not one
        picture can be used.
      RuntimeError: not every row ended in the TFRecords or the rejects table.
    """
    staging = out_dir.resolve() / _STAGING
    try:
        shutil.rmtree(staging, ignore_errors=True)  # of a run that broke off
        staging.mkdir(parents=True)
        tranches = stage(master_csv, staging, [size, *_code()])
        found = {name: _valid(out_dir / name, staged.digest) for name, staged in tranches.items()}
        reused = {name: counts for name, counts in found.items() if counts}
        changed = {name: staged for name, staged in tranches.items() if name not in reused}
        if changed:
            _PICTURES.start(sum(staged.row_count for staged in changed.values()), advance)
            _run([shard for staged in changed.values() for shard in staged.shards], size, beam_args)
        written = {name: _complete(name, staged) for name, staged in changed.items()}
        for name, staged in changed.items():
            _replace(staged.folder, out_dir / name)
        removed = _remove_vanished(out_dir, tranches)
    except OSError as error:
        raise InputError(
            f"{error.filename or out_dir} cannot be used: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    report = TFRecordsReport(
        tranches={name: reused.get(name) or written[name] for name in tranches},
        reused=tuple(reused),
        removed=removed,
    )
    if not report.written:
        reason, _ = report.reasons.most_common(1)[0]
        raise DataError(
            f"None of the pictures named in {master_csv} can be used, most often because of"
            f" {reason!r}; see {REJECTS_NAME} in the folders of {out_dir}."
        )
    return report


# -- Which tranches have changed ----------------------------------------------------------


def _code() -> list[str]:
    """Returns what identifies the code that pictures and rows go through."""
    return [code_digest("components.ingest.tfrecords"), version("pillow")]


def _valid(folder: Path, digest: str) -> TrancheCounts | None:
    """Returns the counts of a folder that is complete and up to date, else None."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        if manifest["digest"] != digest:
            return None
        present = {path.name: path.stat().st_size for path in folder.iterdir()}
        del present[MANIFEST_NAME]
        if present != manifest["bytes"]:
            return None
        return TrancheCounts(**manifest["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no manifest of this version: the folder is written again


def _remove_vanished(out_dir: Path, tranches: Container[str]) -> tuple[str, ...]:
    """Deletes folders of tranches that no row names; only such as bear a manifest."""
    vanished = sorted(
        path.parent
        for path in out_dir.glob(f"*/{MANIFEST_NAME}")
        if path.parent.name not in tranches
    )
    for folder in vanished:
        shutil.rmtree(folder)
    return tuple(folder.name for folder in vanished)


# -- The Beam job -------------------------------------------------------------------------


def _run(shards: Sequence[Shard], size: int, beam_args: Sequence[str]) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
            (
                pipeline
                | "Shards" >> beam.Create(shards)
                | "ShareOut" >> beam.Reshuffle()
                | "ConvertAndWrite" >> beam.Map(_write_shard, size=size)
            )
    finally:
        _CONVERTERS.close()


def _write_shard(shard: Shard, size: int) -> None:
    """Writes one file of examples and, when it is whole, the outcome of its rows."""
    # Beam's own writer of the format; its public sink would shuffle all pictures.
    from apache_beam.io.tfrecordio import _TFRecordUtil

    from components.ingest.images import ImageRejected

    postures: Counter[str] = Counter()
    rejects: list[tuple[str, ...]] = []
    # A second attempt at the same shard must not write into the first one's file.
    part = shard.folder / f".part-{uuid.uuid4().hex}"
    with (
        _CONVERTERS.lend() as converter,
        part.open("xb") as file,
        # The lowest level: JPEG hardly shrinks. No time stamp: the same bytes every time.
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as records,
    ):
        encode = _encoder(converter, size)
        for row in json.loads(shard.rows.read_bytes()):
            cells = dict(zip(features.MASTER_COLUMNS, row, strict=True))
            try:
                example = encode(cells, shard.base)
            except ImageRejected as error:
                rejects.append((*(cells[column] for column in REJECT_COLUMNS[:-1]), str(error)))
            else:
                _TFRecordUtil.write_record(records, example)
                postures[cells[features.POSTURE] or features.BLANK] += 1
            _PICTURES.count_one()
    part.replace(shard.records)
    shard.outcome.write_text(json.dumps({"postures": postures, "rejects": rejects}))


def _encoder(converter: Converter, size: int) -> Callable[[dict[str, str], Path], bytes]:
    """Returns what makes a serialized tf.train.Example of a row.

    By tfx_bsl's coder: TensorFlow's own classes take twelve seconds and hundreds
    of megabytes to import, in each worker.
    """
    import pyarrow as pa
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    from components.ingest.images import ImageRejected

    coder = RecordBatchToExamplesEncoder()
    kinds: dict[str, pa.DataType] = {
        **dict.fromkeys(
            (*features.EXAMPLE_COLUMNS, features.IMAGE, features.PERCEPTUAL_HASH), pa.binary()
        ),
        **dict.fromkeys((features.WIDTH, features.HEIGHT), pa.int64()),
        **dict.fromkeys(features.MEASURES, pa.float32()),
    }
    schema = pa.schema([(name, pa.list_(kind)) for name, kind in kinds.items()])

    def encode(cells: dict[str, str], base: Path) -> bytes:
        if not cells[features.FILE_PATH]:
            raise ImageRejected("the master table names no image file for it")
        picture = converter.convert(base / cells[features.FILE_PATH], size)
        values = {
            **{name: (cells[name] or features.BLANK).encode() for name in features.EXAMPLE_COLUMNS},
            features.IMAGE: picture.jpeg,
            features.WIDTH: picture.width,
            features.HEIGHT: picture.height,
            features.BRIGHTNESS: picture.brightness,
            features.CONTRAST: picture.contrast,
            features.SHARPNESS: picture.sharpness,
            features.SATURATION: picture.saturation,
            features.PERCEPTUAL_HASH: picture.perceptual_hash.encode(),
        }
        row = {name: [value] for name, value in values.items()}
        (example,) = coder.encode(pa.RecordBatch.from_pylist([row], schema))
        return bytes(example)

    return encode


class _Pictures:
    """Counts pictures over all threads of this process and tells who watches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.start(0, None)

    def start(self, total: int, advance: Advance | None) -> None:
        self._done, self._total, self._advance = 0, total, advance

    def count_one(self) -> None:
        with self._lock:
            self._done += 1
            if self._advance:
                self._advance(self._done, self._total)


# Beam copies what it sends to its workers; they find this one by its name.
_PICTURES: Final = _Pictures()
_CONVERTERS: Final = Pool()


# -- Finished folders ---------------------------------------------------------------------


def _complete(tranche: str, staged: Staged) -> TrancheCounts:
    """Adds rejects table and manifest to a staged folder, and checks that no row is lost."""
    folder = staged.folder
    postures, reasons = Counter[str](), Counter[str]()
    with (folder / REJECTS_NAME).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(REJECT_COLUMNS)
        for shard in staged.shards:
            outcome = json.loads(shard.outcome.read_bytes())
            postures.update(outcome["postures"])
            reasons.update(reason for *_, reason in outcome["rejects"])
            table.writerows(map(harmless, outcome["rejects"]))
    for scratch in folder.glob(".*"):  # rows, outcomes, and attempts that failed
        scratch.unlink()
    counts = TrancheCounts(
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
    """Puts a staged folder in the place of an older one."""
    if folder.exists():
        folder.rename(staged.with_name(f"{staged.name}.old"))
    staged.rename(folder)
