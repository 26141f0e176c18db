"""From tranch_master.csv to TFRecords: every row, once, and only when it changed."""

import csv
import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner
from PIL import Image

from components import processes
from components.errors import DataError, InputError
from components.ingest import conversion, images, staging, tfrecords
from pipeline.commands.tfrecords import tfrecords as command
from schema import features

SIZE = 64
Read = Callable[[Path], list[dict[str, str]]]


class Ingestion:
    """A folder with pictures, a master table and TFRecords."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.master = root / "tranch_master.csv"
        self.out = root / "tfrecords"
        self.rows: list[dict[str, str]] = []

    def add(self, tranche: str, number: int, **cells: str) -> Path:
        """Adds a row with its picture; returns the picture's path."""
        name = f"{tranche}c{number // 3}_cat-1_{number % 3:03d}.png"
        path = self.root / "images" / tranche / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 80), (number * 7 % 256, 50, 90)).save(path)
        self.rows.append(
            {
                features.FILE_PATH: str(path.relative_to(self.root)),
                features.FILE_NAME: name,
                features.CLIP: name.split("_")[0],
                features.TRANCHE: tranche,
                features.HOW_MANY: "One",
                features.POSTURE: features.POSTURES[number % 3],
                features.OCCLUDED: "No",
                features.PERSON_TYPE: "Staff",
                features.EXCEPTION_CASE: "",
            }
            | cells
        )
        return path

    def write_master(self) -> None:
        with self.master.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, features.MASTER_COLUMNS)
            table.writeheader()
            table.writerows(self.rows)

    def write(self, **options: object) -> tfrecords.TFRecordsReport:
        self.write_master()
        return tfrecords.write_tfrecords(self.master, self.out, **{"size": SIZE, **options})

    def times(self) -> dict[str, int]:
        files = sorted(path for path in self.out.rglob("*") if path.is_file())
        return {str(path.relative_to(self.out)): path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module", autouse=True)
def _warm_converters() -> Iterator[None]:
    """Starting processes for every call would take most of the time of these tests."""
    with mock.patch.object(conversion._converters, "close"):
        yield
    conversion._converters.close()


@pytest.fixture
def ingestion(tmp_path: Path) -> Ingestion:
    """Two tranches of five and four pictures; nothing is written yet."""
    made = Ingestion(tmp_path)
    for number in range(5):
        made.add("1", number)
    for number in range(4):
        made.add("2", number)
    return made


def examples(folder: Path) -> list[dict[str, object]]:
    """Reads a tranche's examples with TensorFlow, which did not write them."""
    import tensorflow as tf

    shards = sorted(str(path) for path in folder.glob("images-*.tfrecord.gz"))
    found = []
    for record in tf.data.TFRecordDataset(shards, "GZIP").as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        values = {}
        for name, feature in example.features.feature.items():
            (values[name],) = getattr(feature, feature.WhichOneof("kind")).value
        found.append(values)
    return found


def test_examples_hold_labels_picture_and_measures(ingestion: Ingestion) -> None:
    path = ingestion.add("1", 5, **{features.POSTURE: "", features.OCCLUDED: ""})
    report = ingestion.write()
    assert list(report.tranches) == ["1", "2"]
    assert report.tranches["1"] == tfrecords.ConversionCounts(
        rows=6,
        written=6,
        rejected=0,
        postures={"Sitting": 2, "Standing": 2, "Lying": 1, features.BLANK: 1},
        reasons={},
    )
    found = examples(ingestion.out / "1")
    assert [example[features.FILE_NAME].decode() for example in found] == [
        row[features.FILE_NAME] for row in ingestion.rows if row[features.TRANCHE] == "1"
    ]
    picture = images.convert(path, SIZE)
    last = found[-1]
    assert last.pop(features.BRIGHTNESS) == pytest.approx(picture.brightness)
    assert last.pop(features.SATURATION) == pytest.approx(picture.saturation)
    assert last == {
        features.FILE_NAME: path.name.encode(),
        features.CLIP: b"1c1",
        features.TRANCHE: b"1",
        features.HOW_MANY: b"One",
        features.POSTURE: features.BLANK.encode(),
        features.OCCLUDED: features.BLANK.encode(),
        features.PERSON_TYPE: b"Staff",
        features.EXCEPTION_CASE: features.BLANK.encode(),
        features.IMAGE: picture.jpeg,
        features.WIDTH: 100,
        features.HEIGHT: 80,
        features.CONTRAST: 0.0,
        features.SHARPNESS: 0.0,
        features.PERCEPTUAL_HASH: picture.perceptual_hash.encode(),
    }


def test_rows_are_shared_out_to_shards_in_order(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "ROWS_PER_SHARD", 2)
    steps: list[tuple[int, int]] = []
    ingestion.write(advance=lambda done, total: steps.append((done, total)))
    assert sorted(path.name for path in (ingestion.out / "1").iterdir()) == [
        "images-00000-of-00003.tfrecord.gz",
        "images-00001-of-00003.tfrecord.gz",
        "images-00002-of-00003.tfrecord.gz",
        "manifest.json",
        "rejects.csv",
    ]
    names = [example[features.FILE_NAME].decode() for example in examples(ingestion.out / "1")]
    assert names == [row[features.FILE_NAME] for row in ingestion.rows[:5]]
    assert steps[-1] == (9, 9)
    assert steps == sorted(steps)


def test_another_engine_writes_the_same_files(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that pickles the job and runs it in processes of its own, as a cluster's does."""
    # Workers import the project; nothing of this process is in theirs.
    monkeypatch.setenv("PYTHONPATH", processes.environment()["PYTHONPATH"])
    ingestion.add("2", 5).write_bytes(b"no picture")
    first = ingestion.write()
    kept = ingestion.out.rename(ingestion.root / "kept")
    mode = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    again = ingestion.write(beam_args=("--runner=DirectRunner", *mode))
    assert again == first
    assert again.reused == ()
    assert contents(ingestion.out) == contents(kept)


def test_progress_is_read_from_files_that_any_host_can_write(tmp_path: Path) -> None:
    steps: queue.Queue[tuple[int, int]] = queue.Queue()
    folder = staging.ShardedFolder(tmp_path, tmp_path, row_count=500, digest="")
    with conversion._progress([folder], lambda *step: steps.put(step)):
        for shard, done in zip(folder.shards(), (200, 7), strict=True):
            shard.progress.write_bytes(bytes(done))
        while steps.get(timeout=60) != (207, 500):
            pass
    *_, last = steps.queue
    assert last == (500, 500)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_rows_without_a_usable_picture_are_rejected(ingestion: Ingestion, read_csv: Read) -> None:
    ingestion.add("2", 6, **{features.FILE_NAME: '=HYPERLINK("x")'}).write_bytes(b"no picture")
    ingestion.add("2", 7).unlink()
    ingestion.add("2", 8, **{features.FILE_PATH: ""})
    report = ingestion.write()
    counts = report.tranches["2"]
    assert (counts.rows, counts.written, counts.rejected) == (7, 4, 3)
    assert report.reasons.total() == 3
    rejects = read_csv(ingestion.out / "2" / "rejects.csv")
    assert [list(reject) for reject in rejects] == [list(staging.REJECT_COLUMNS)] * 3
    assert rejects[0][features.FILE_NAME] == '\'=HYPERLINK("x")'
    assert [reject["reason"] for reject in rejects] == [
        "not a readable JPEG, PNG, BMP, GIF, TIFF, WEBP or AVIF image",
        "there is no such file",
        "the master table names no image file for it",
    ]
    assert len(examples(ingestion.out / "2")) == 4


def test_unchanged_tranches_are_not_touched(ingestion: Ingestion) -> None:
    first = ingestion.write()
    before = ingestion.times()
    again = ingestion.write()
    assert ingestion.times() == before
    assert again.reused == ("1", "2")
    assert again.tranches == first.tranches


def test_a_changed_image_rewrites_its_tranche_only(ingestion: Ingestion) -> None:
    ingestion.write()
    before = ingestion.times()
    path = ingestion.root / ingestion.rows[0][features.FILE_PATH]
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, (1, 1))
    assert ingestion.write().reused == ("2",)
    after = ingestion.times()
    for name, time in after.items():
        assert (before[name] == time) is name.startswith("2/"), name


def test_labels_size_and_lost_files_rewrite_too(ingestion: Ingestion) -> None:
    ingestion.write()
    ingestion.rows[0][features.POSTURE] = "Lying"
    assert ingestion.write().reused == ("2",)
    shard = next((ingestion.out / "1").glob("images-*"))
    shard.unlink()
    assert ingestion.write().reused == ("2",)
    assert shard.exists()
    (ingestion.out / "2" / "images-00007-of-00008.tfrecord.gz").touch()
    assert ingestion.write().reused == ("1",)
    (ingestion.out / "2" / "manifest.json").write_text('{"digest": ')
    assert ingestion.write().reused == ("1",)
    assert ingestion.write(size=SIZE + 1).reused == ()


def test_vanished_tranches_are_removed_and_strangers_are_not(ingestion: Ingestion) -> None:
    ingestion.write()
    stranger = ingestion.out / "notes"
    stranger.mkdir()
    ingestion.rows = [row for row in ingestion.rows if row[features.TRANCHE] == "1"]
    report = ingestion.write()
    assert (report.removed, report.reused) == (("2",), ("1",))
    assert sorted(path.name for path in ingestion.out.iterdir()) == ["1", "notes"]


def test_a_tranche_without_a_usable_picture_is_refused(ingestion: Ingestion) -> None:
    for row in ingestion.rows:
        if row[features.TRANCHE] == "2":
            row[features.FILE_PATH] = "nowhere.png"
    with pytest.raises(DataError, match=r"None of the pictures of tranche 2 can be used"):
        ingestion.write()


def test_an_interrupted_write_leaves_the_old_state_and_recovers(ingestion: Ingestion) -> None:
    ingestion.write()
    before = ingestion.times()
    ingestion.rows[0][features.POSTURE] = "Lying"
    ingestion.write_master()
    # Killed in the midst of converting, as by a power cut: nothing can be tidied up.
    script = (
        "import os, pathlib\n"
        "from components.ingest import converter, tfrecords\n"
        "convert, seen = converter.Converter.convert, []\n"
        "def dies(*arguments):\n"
        "    seen.append(1)\n"
        "    return os._exit(9) if len(seen) == 3 else convert(*arguments)\n"
        "converter.Converter.convert = dies\n"
        f"tfrecords.write_tfrecords(pathlib.Path({str(ingestion.master)!r}),"
        f" pathlib.Path({str(ingestion.out)!r}), size={SIZE})"
    )
    root = Path(tfrecords.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root).returncode == 9  # noqa: S603 (a command of ours)
    left = ingestion.times()
    assert {name: time for name, time in left.items() if not name.startswith(".")} == before
    assert any(name.startswith(".incoming/1/") for name in left)
    assert ingestion.write().reused == ("2",)
    assert sorted(path.name for path in ingestion.out.iterdir()) == ["1", "2"]
    assert examples(ingestion.out / "1")[0][features.POSTURE] == b"Lying"


def test_a_lost_row_stops_everything(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion.add("1", 6).write_bytes(b"no picture")

    def convert(folders: Iterable[staging.ShardedFolder], size: int, *_: object) -> None:
        for shard in (shard for folder in folders for shard in folder.shards()):
            conversion.write_shard(shard, size)
            outcome = json.loads(shard.outcome.read_bytes())
            shard.outcome.write_text(json.dumps(outcome | {"rejects": []}))

    monkeypatch.setattr(conversion, "convert", convert)
    with pytest.raises(RuntimeError, match="5 examples and 0 rejects do not add up to 6 rows"):
        ingestion.write()
    assert not (ingestion.out / "1").exists()


def test_no_usable_picture_at_all_is_an_error(ingestion: Ingestion) -> None:
    for row in ingestion.rows:
        row[features.FILE_PATH] = "nowhere.png"
    with pytest.raises(DataError, match=r"None of the pictures .* 'there is no such file'"):
        ingestion.write()
    assert (ingestion.out / "1" / "rejects.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column file_path"),
        ("tranche,clip\n", "lacks the column file_path"),
        (",".join(features.MASTER_COLUMNS), "has no rows"),
        (",".join(features.MASTER_COLUMNS) + "\na,b\n", "Row 2 .* 2 cells instead of 9"),
        (",".join(features.MASTER_COLUMNS) + "\na,b,c,../up,,,,,\n", "Row 2 .* '../up'"),
        (",".join(features.MASTER_COLUMNS) + '\n"a,b,c,1,,,,,\n', "not a CSV table"),
        (",".join(features.MASTER_COLUMNS) + "\n\udcff", "not a CSV table"),
    ],
)
def test_a_broken_master_table_is_named(text: str, message: str, tmp_path: Path) -> None:
    master = tmp_path / "tranch_master.csv"
    master.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DataError, match=message):
        tfrecords.write_tfrecords(master, tmp_path / "out", size=SIZE)


def test_a_missing_master_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="write it with the command master"):
        tfrecords.write_tfrecords(tmp_path / "none.csv", tmp_path / "out", size=SIZE)


def test_columns_may_come_in_any_order_and_number(ingestion: Ingestion) -> None:
    ingestion.write()
    with ingestion.master.open("w", encoding="utf-8-sig", newline="") as file:
        columns = ["note", *reversed(features.MASTER_COLUMNS)]
        table = csv.DictWriter(file, columns, restval="kept, by hand")
        table.writeheader()
        table.writerows(ingestion.rows)
        file.write("\r\n")
    report = tfrecords.write_tfrecords(ingestion.master, ingestion.out, size=SIZE)
    assert report.reused == ("1", "2")


@pytest.mark.filterwarnings("ignore")
def test_every_odd_file_ends_in_the_tfrecords_or_the_rejects(
    ingestion: Ingestion, shared_data: Path, read_csv: Read
) -> None:
    odd = shared_data / "images"
    outcomes = {row["file"]: row["pillow"] for row in read_csv(odd / "outcomes.csv")}
    ingestion.rows = [
        ingestion.rows[0]
        | {features.TRANCHE: "9", features.FILE_NAME: name, features.FILE_PATH: str(odd / name)}
        for name in outcomes
    ]
    counts = ingestion.write(size=512).tranches["9"]
    assert (counts.rows, counts.written, counts.rejected) == (342, 313, 29)
    written = {example[features.FILE_NAME].decode() for example in examples(ingestion.out / "9")}
    rejected = {row[features.FILE_NAME] for row in read_csv(ingestion.out / "9" / "rejects.csv")}
    assert written == {name for name, outcome in outcomes.items() if outcome.startswith("ok")}
    assert written | rejected == outcomes.keys()
    assert not written & rejected


def test_the_command_shows_what_it_did(ingestion: Ingestion) -> None:
    ingestion.add("2", 5).write_bytes(b"")
    ingestion.write_master()
    arguments = ["--master", str(ingestion.master), "--output-root", str(ingestion.root / "o")]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    table = [[cell.strip() for cell in line.split("│")] for line in result.output.splitlines()]
    assert ["1", "5", "5", "0", "no"] in table
    assert ["2", "5", "4", "1", "no"] in table
    assert ["an empty file", "1"] in table
    again = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert again.output.count("yes") == 2
    assert sorted(path.name for path in (ingestion.root / "o/data/tfrecords").iterdir()) == [
        "1",
        "2",
    ]
