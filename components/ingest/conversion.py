"""The Beam job that converts the pictures of shards and writes their TFRecords.

It runs on any Beam engine. Workers on other hosts need the project's code, and have to see the
output folder and the pictures under the same paths as the process that starts the job. Nothing
else passes between them: rows, results and progress are files beside the records.
"""

import gzip
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apache_beam as beam
from apache_beam.io.tfrecordio import _TFRecordUtil
from apache_beam.options.pipeline_options import PipelineOptions

from components.files import replacing
from components.ingest.converter import Converter, ConverterPool
from components.ingest.example_proto import serialize
from components.ingest.images import ImageRejected
from components.ingest.staging import REJECT_COLUMNS, Shard, ShardedFolder
from schema import features

# Called with the number of pictures done and to do.
Advance = Callable[[int, int], None]

_POLL_SECONDS: Final = 0.25

# One per worker process; Beam's threads find it by its name.
_converters = ConverterPool()


def convert(
    folders: Sequence[ShardedFolder],
    size: int,
    beam_args: Sequence[str],
    advance: Advance | None = None,
) -> None:
    """Writes `Shard.records` and `Shard.outcome` of every shard.

    Args:
      folders: the staged folders.
      size: side of the square that the pictures are scaled down to fit, in pixels.
      beam_args: Beam's command line options.
      advance: is told a few times a second how many pictures are done.
    """
    with (
        _progress(folders, advance),
        beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline,
    ):
        _ = (
            pipeline
            # Not the shards themselves: hundreds of thousands would swell the job's description.
            | "Folders" >> beam.Create(folders)
            | "Shards" >> beam.FlatMap(ShardedFolder.shards)
            | "Distribute" >> beam.Reshuffle()
            | "ConvertAndWrite" >> beam.ParDo(WriteShard(size))
        )


class WriteShard(beam.DoFn):
    """Converts the pictures of a shard one after the other and writes its two files.

    Args:
      size: side of the square that the pictures are scaled down to fit, in pixels.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def process(self, shard: Shard) -> Iterable[None]:
        """Writes the records, then the outcome. Both appear complete, or not at all."""
        write_shard(shard, self._size)
        return ()

    def teardown(self) -> None:
        """Ends this worker's idle converter processes."""
        _converters.close()


def write_shard(shard: Shard, size: int) -> None:
    """Writes one file of examples and, once it is complete, the outcome of its rows.

    Args:
      shard: names the files.
      size: side of the square that the pictures are scaled down to fit, in pixels.
    """
    postures: Counter[str] = Counter()
    rejects: list[tuple[str, ...]] = []
    with (
        _converters.lend() as converter,
        shard.progress.open("wb", buffering=0) as progress,
        replacing(shard.records, "wb") as file,
        # The lowest level: JPEG hardly shrinks. No time stamp: the same bytes every time.
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as records,
    ):
        for row in json.loads(shard.rows.read_bytes()):
            cells = dict(zip(features.MASTER_COLUMNS, row, strict=True))
            try:
                example = _example(cells, shard.base, size, converter)
            except ImageRejected as error:
                rejects.append((*(cells[column] for column in REJECT_COLUMNS[:-1]), str(error)))
            else:
                # Beam's own writer of the format; its public sink would shuffle all pictures.
                _TFRecordUtil.write_record(records, example)
                postures[cells[features.POSTURE] or features.BLANK] += 1
            progress.write(b".")
    with replacing(shard.outcome) as file:
        json.dump({"postures": postures, "rejects": rejects}, file)


def _example(cells: dict[str, str], base: Path, size: int, converter: Converter) -> bytes:
    """Converts the picture of a row.

    Returns:
      A serialized tf.train.Example.

    Raises:
      ImageRejected: there is no usable picture.
    """
    if not cells[features.FILE_PATH]:
        raise ImageRejected("the master table names no image file for it")
    picture = converter.convert(base / cells[features.FILE_PATH], size)
    return serialize(
        {name: (cells[name] or features.BLANK).encode() for name in features.EXAMPLE_COLUMNS}
        | {
            features.IMAGE: picture.jpeg,
            features.WIDTH: picture.width,
            features.HEIGHT: picture.height,
            features.BRIGHTNESS: picture.brightness,
            features.CONTRAST: picture.contrast,
            features.SHARPNESS: picture.sharpness,
            features.SATURATION: picture.saturation,
            features.PERCEPTUAL_HASH: picture.perceptual_hash.encode(),
        }
    )


# -- Progress ------------------------------------------------------------------------------


@contextmanager
def _progress(folders: Sequence[ShardedFolder], advance: Advance | None) -> Iterator[None]:
    """Reports pictures done, wherever the workers are, until the block ends."""
    if advance is None:
        yield
        return
    total = sum(folder.row_count for folder in folders)
    ended = threading.Event()

    def report() -> None:
        pause = _POLL_SECONDS
        while not ended.wait(pause):
            started = time.monotonic()
            # A shard that is written a second time may be counted twice for a moment.
            advance(min(_done(folders), total), total)
            # Looking through very many shards must not keep a shared file system busy.
            pause = max(_POLL_SECONDS, 20 * (time.monotonic() - started))

    watcher = threading.Thread(target=report, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    advance(total, total)


def _done(folders: Iterable[ShardedFolder]) -> int:
    """Returns how many pictures are done: the size of the shards' progress files.

    It lists folders instead of asking for each file: on NFS, a file that was asked for too early
    stays unknown for up to a minute.
    """
    return sum(
        entry.stat().st_size
        for folder in folders
        for entry in os.scandir(folder.folder)
        if entry.name.startswith(Shard.PROGRESS)
    )
