"""What a purge finds and changes, in output folders made by hand: no TFX, no database."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.errors import InputError
from components.files import replacing
from components.ingest import example_proto
from pipeline.commands import purge
from pipeline.config import PipelineConfig
from pipeline.dossier import build
from pipeline.runs import snapshot
from pipeline.runs.left_out import Reject
from pipeline.runs.run import Snapshot
from schema import features
from tests.support import damages

RUN = "20260101T000000Z"
# None is another one's, though it is in it, or it in none.
CLIPS = ["room1", "bedroom1", "room10", "room1b", "my-room1", "room1 b", "Room1", "big room1",
         "room1_cat-1_2", "1_room1", "öroom1"]  # fmt: skip
TRANCHES = {clip: "11" if CLIPS.index(clip) % 2 else "1" for clip in CLIPS}


def frame(clip: str, number: int = 1) -> str:
    return f"{clip}_cat-1_{number:03}.png"


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    """An output folder in which every clip is in every kind of file."""
    config = PipelineConfig(output_root=tmp_path / "out")
    data = config.data_dir
    for tranche in ("1", "11"):
        mine = [clip for clip in CLIPS if TRANCHES[clip] == tranche]
        for clip in mine:
            folder = data / "images" / f"tranch{tranche}" / clip
            folder.mkdir(parents=True)
            for name in (frame(clip), f"{clip}_cat-1_002.gif", f"._{frame(clip)}"):
                (folder / name).write_bytes(b"pixels")
        records = config.tfrecords_dir / tranche
        records.mkdir(parents=True)
        write(records / "rejects.csv", [[tranche, frame(clip, 3), "cut"] for clip in mine])
    rows = [[TRANCHES[clip], frame(clip), "x"] for clip in CLIPS]
    write(data / "tranch_master.csv", rows)
    near = [["1", "other_cat-1_1.png", f"no image; but {frame(clip)} is near"] for clip in CLIPS]
    gifs = [[TRANCHES[clip], f"{clip}_cat-1_002.gif", "no image"] for clip in CLIPS]
    write(data / "rejects.csv", near + gifs)
    kept = Snapshot(
        run_id=RUN,
        config=config,
        started=0,
        rejects=[Reject("1", "cut", 1, frame(clip, 777)) for clip in CLIPS],  # known to no table
    )
    snapshot.write(kept)
    page = snapshot.page_path(config.output_root, RUN)
    page.write_text(" ".join(f"<img alt='{frame(clip)}'>" for clip in CLIPS))
    for clip in CLIPS:
        saved = page.with_name(f"page {CLIPS.index(clip)}.html")
        saved.write_text(f"<p>{frame(clip)}</p>")
        hidden = data / f".{CLIPS.index(clip)}.csv.k2j4x"
        hidden.write_text(frame(clip))
    config.logs_dir.mkdir()
    log = "".join(f"INFO /data/images/{frame(clip)}: has no label\n" for clip in CLIPS)
    config.log_path(RUN).write_text(log)
    dossier = build.folder(config.output_root, RUN)
    dossier.mkdir(parents=True)
    findings = "".join(f"- warning: {frame(clip)} has no label\n" for clip in CLIPS)
    for name in ("decision.md", "TO_FILL_IN.md", "comparison.csv", "model_card_chai.xml"):
        (dossier / name).write_text(findings)
    answers = [json.dumps({"image": frame(clip)}) for clip in CLIPS]
    (config.output_root / "answers.jsonl").write_text("\n".join(answers))
    return config


def write(table: Path, rows: list[list[str]]) -> None:
    with replacing(table, newline="") as file:
        csv.writer(file).writerows([["tranche", features.FILE_NAME, "reason"], *rows])


def call(config: PipelineConfig, *arguments: str) -> Result:
    result = CliRunner().invoke(
        purge.purge, [*arguments, "--output-root", str(config.output_root), "--yes"]
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def mentions(config: PipelineConfig) -> dict[str, set[str]]:
    """Where each clip is still named, by a method that knows no more than the clips do."""
    found: dict[str, set[str]] = {clip: set() for clip in CLIPS}
    longest = sorted(CLIPS, key=len, reverse=True)
    for path in config.output_root.rglob("*"):
        text = path.name + "\n" + (path.read_text(errors="replace") if path.is_file() else "")
        text = text.replace("\\u00f6", "ö")  # as JSON has it
        for clip in longest:
            if f"{clip}_cat-1_" in text or path.name == clip:
                found[clip].add(str(path.relative_to(config.output_root)))
            text = text.replace(clip, "")
    return found


@pytest.mark.parametrize("clip", CLIPS)
def test_a_clip_goes_and_those_with_nearly_its_name_stay(config: PipelineConfig, clip: str) -> None:
    before = mentions(config)
    assert len(before[clip]) > 8, before[clip]
    result = call(config, "--clip", clip)
    assert (result.exit_code, result.stdout.splitlines()[-1].startswith("Removed")) == (0, True)
    after = mentions(config)
    assert after.pop(clip) == set()
    page = str(snapshot.page_path(config.output_root, RUN).relative_to(config.output_root))
    gone = {page}  # it shows all of them; so does the rejects table of their tranche
    for other, places in after.items():
        records = {f"data/tfrecords/{TRANCHES[clip]}/rejects.csv"}
        assert before[other] - places <= gone | records, other
    snapshot.read(config.output_root, RUN)
    assert config.log_path(RUN).read_text().count("has no label") == len(CLIPS)


@pytest.mark.parametrize("tranche", ["1", "11"])
def test_a_tranche_goes_and_the_other_stays(config: PipelineConfig, tranche: str) -> None:
    assert call(config, "--tranche", tranche).exit_code == 0
    after = mentions(config)
    for clip, places in after.items():
        names = {place for place in places if "data/rejects" not in place}
        if TRANCHES[clip] == tranche:
            # Of a frame that no table has, nobody knows the tranche.
            assert names <= {f"review/{RUN}/run.json"}, clip
        else:
            assert f"logs/{RUN}.log" in names and "data/tranch_master.csv" in names, clip


def test_two_tranches_may_have_an_image_of_the_same_name(config: PipelineConfig) -> None:
    table = config.data_dir / "tranch_master.csv"
    write(table, [["1", frame("twice"), "x"], ["11", frame("twice"), "x"]])
    assert call(config, "--tranche", "1").exit_code == 0
    assert table.read_text().splitlines()[1:] == ["11,(purged),x"]


@pytest.mark.parametrize("form", ["Zoe\u0308", "Zo\u00eb"])
def test_accents_may_be_written_either_way(config: PipelineConfig, form: str) -> None:
    for number, clip in enumerate(("Zoe\u0308", "Zo\u00eb")):
        example = example_proto.feature(features.CLIP, clip.encode())
        folder = config.data_dir / "images" / "tranch1"
        (folder / frame(clip)).touch()
        (config.logs_dir / f"{number}.log").write_text(frame(clip))
        assert example in purge_patterns(form)
    assert call(config, "--clip", form).exit_code == 0
    left = [path for path in config.output_root.rglob("*") if "Zo" in path.name]
    assert left == [] and "Zo" not in (config.logs_dir / "0.log").read_text()


def purge_patterns(clip: str) -> list[bytes]:
    from pipeline.runs.purge import Target

    return Target(clip, None).patterns


@pytest.mark.parametrize(
    "name",
    ["photos.zip", "page.pdf", "raw/tranch1_labels.csv", f"copies/{frame('room1')}", "x.db"],
)
def test_what_people_put_there_is_left_and_named(config: PipelineConfig, name: str) -> None:
    """No all-clear while something names the clip, also if nothing else does."""
    path = config.output_root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\0" + frame("room1").encode())
    for _ in range(2):
        result = call(config, "--clip", "room1")
        assert result.exit_code == 1
        assert f"Not to be removed, as `lookdeep` did not write it: {name}" in result.stdout
        assert result.stdout.splitlines()[-1] == f"  {path}"
        assert path.exists()
    path.unlink()
    with pytest.raises(InputError, match="contains nothing of clip room1"):
        call(config, "--clip", "room1")


def test_artifacts_that_no_database_knows_go_too(config: PipelineConfig) -> None:
    """Killed runs leave them, and a database that was moved away, as a damaged one has to be."""
    for name in ("Transform/transformed_examples/7/Split-train/x.gz", "Trainer/model/5/run.txt"):
        path = config.pipeline_root / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"pixels")
    saved = config.pipeline_root / "Trainer/model/8/Format-Serving/saved_model.pb"
    saved.parent.mkdir(parents=True)
    saved.touch()
    with pytest.raises(InputError, match="contains nothing of clip nobody"):
        (config.pipeline_root / "Transform/transformed_examples/7/Split-train/x.gz").unlink()
        call(config, "--clip", "nobody")
    damages.save_graph(config.serving_dir / "5")
    result = call(config, "--clip", "room1")
    assert result.exit_code == 0
    assert not (config.pipeline_root / "Transform/transformed_examples/7").exists()
    unknown = "A model that the database does not know may have been trained on it"
    assert result.stdout.count(unknown) == 2
    assert str(saved.parents[1]) in result.stdout
    assert str(config.serving_dir / "5") in result.stdout
    assert saved.exists()
