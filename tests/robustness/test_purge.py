"""Purging, on output folders that real components wrote: nothing of the image is left."""

import gzip
import html
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from google.protobuf import text_encoding
from ml_metadata.proto import metadata_store_pb2 as mlmd
from PIL import Image
from tfx.components import ExampleValidator, SchemaGen
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata, pipeline
from tfx.types import standard_artifacts

from components.errors import InputError
from components.examples.example_gen import TrancheExampleGen, split_of_clip
from components.examples.image_table import ImageTable
from components.examples.statistics_gen import StatisticsGen
from components.ingest import master, tfrecords
from components.serving.pusher import Pusher
from pipeline.beam import local_args
from pipeline.commands.export import export
from pipeline.commands.predict import predict
from pipeline.commands.purge import purge
from pipeline.commands.review import review
from pipeline.commands.status import status
from pipeline.config import PipelineConfig
from pipeline.process import worker
from pipeline.runs import lineage, snapshot
from pipeline.runs.run import Snapshot
from schema import features
from tests.robustness.conftest import Tried
from tests.support.blessing import Bless
from tests.support.read_only import read_only

if TYPE_CHECKING:
    from tests.support.running import Command, Ended

pytestmark = pytest.mark.slow

SHARES = {features.TRAIN: 70, features.EVAL: 15, features.TEST: 15}
CLIPS = [f"Zoë & room={n:02}" for n in range(40)]  # JSON, HTML and CSV escape it
SPLIT_OF = {
    clip: list(SHARES)[split_of_clip(clip.encode(), list(SHARES.values()))] for clip in CLIPS
}
RUN = "20260101T000000Z"


def clip_in(split: str) -> str:
    return next(clip for clip in CLIPS if SPLIT_OF[clip] == split)


@component
def Train(
    examples: InputArtifact[standard_artifacts.Examples],
    model: OutputArtifact[standard_artifacts.Model],
) -> None:
    """Leaves something to push."""
    del examples
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text("weights")


def run(config: PipelineConfig, data_root: Path, run_id: str = RUN) -> None:
    """Ingestion and a short pipeline, as the worker does it."""
    table = master.build_master(data_root, config.data_dir)
    tfrecords.write_tfrecords(table.master, config.tfrecords_dir, size=64)
    generate = TrancheExampleGen(str(config.tfrecords_dir), SHARES, "labelled", "code")
    examples = generate.outputs["examples"]
    statistics = StatisticsGen(examples=examples, code_digest="code")
    schema = SchemaGen(statistics=statistics.outputs["statistics"])
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    trainer = Train(examples=examples).with_id("Trainer")
    gates = Bless(model=trainer.outputs["model"]).with_id("Gates")
    failure = worker.run_pipeline(
        pipeline.Pipeline(
            pipeline_name=config.pipeline_name,
            pipeline_root=str(config.pipeline_root),
            components=[
                generate,
                statistics,
                schema,
                validator,
                ImageTable(examples=examples, code_digest="code"),
                trainer,
                gates,
                Pusher(
                    model=trainer.outputs["model"],
                    model_blessing=gates.outputs["blessing"],
                    infra_blessing=gates.outputs["serves"],
                    acceptance_decision=gates.outputs["acceptance_decision"],
                    serving_dir=str(config.serving_dir),
                    run_id=run_id,
                ),
            ],
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(config.metadata_path)
            ),
            beam_pipeline_args=local_args(),
        ),
        run_id,
    )
    assert failure == ""
    known = Snapshot(run_id=run_id, config=config, started=0.0)
    snapshot.write(known.model_copy(update=snapshot.of_data(config.data_dir)))
    thumbnails = "".join(f"<img alt='{clip}_cat-1_000.png'>" for clip in CLIPS)
    snapshot.page_path(config.output_root, run_id).write_text(thumbnails)


def table(folder: Path, tranche: str, clips: list[str], also: str = "", frames: int = 2) -> None:
    rows = [
        f"{clip}_cat-1_{n:03}.png,One,{features.POSTURES[n]},No,Staff,No\n"
        for clip in clips
        for n in range(frames)
    ]
    (folder / f"tranch{tranche}_labels.csv").write_text(
        "file_name,how_many,primary_posture,primary_occluded,staff_patient_other,exception_case\n"
        + "".join(rows)
        + also
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, zipped, and the output of a run."""
    root = tmp_path_factory.mktemp("finished")
    (root / "data").mkdir()
    for tranche, clips in (("1", CLIPS[:20]), ("2", CLIPS[20:])):
        folder = root / "images" / f"tranch{tranche}"
        folder.mkdir(parents=True)
        for number, clip in enumerate(clips):
            for frame in range(2):
                colour = (number * 9, frame * 90, int(tranche) * 80)
                Image.new("RGB", (80, 60), colour).save(folder / f"{clip}_cat-1_{frame:03}.png")
        lost = f"{clips[0]}_cat-1_009.png,One,Lying,No,Staff,No\n"  # without its image
        table(root / "data", tranche, clips, lost)
        shutil.make_archive(str(root / f"data/persons-posture-tranch{tranche}"), "zip", folder)
    config = PipelineConfig(output_root=root / "out")
    run(config, root / "data")
    (config.feature_cache_dir).mkdir()
    (config.feature_cache_dir / "rows").write_bytes(bytes(10))
    # What killed processes leave.
    staging = config.tfrecords_dir / ".incoming" / "1"
    staging.mkdir(parents=True)
    (staging / ".rows-00000.json").write_text(
        json.dumps([f"{clip}_cat-1_000.png" for clip in CLIPS])
    )
    for clip in CLIPS:
        (config.data_dir / f".{CLIPS.index(clip)}.csv.k2j4x").write_text(f"{clip}_cat-1_000.png")
    config.logs_dir.mkdir()
    config.log_path(RUN).write_text(f"INFO: {CLIPS[0]}_cat-1_009.png has no image\n")
    return root


@pytest.fixture
def output(finished: Path, tmp_path: Path) -> Iterator[PipelineConfig]:
    """That output folder, at its place, to be purged; it is put back afterwards."""
    shutil.copytree(finished / "out", tmp_path / "kept", symlinks=True)
    yield PipelineConfig(output_root=finished / "out")
    shutil.rmtree(finished / "out")
    shutil.copytree(tmp_path / "kept", finished / "out", symlinks=True)


def call(output: PipelineConfig, *arguments: str, answer: str = "") -> Result:
    result = CliRunner().invoke(
        purge, [*arguments, "--output-root", str(output.output_root)], input=answer
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def opened(name: str, content: bytes) -> bytes:
    """The content of a file, unpacked."""
    if name.endswith(".gz"):
        return gzip.decompress(content)
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return content + b"".join(map(archive.read, archive.namelist()))
    if name.endswith(".parquet"):
        return repr(pyarrow.parquet.read_table(pyarrow.BufferReader(content)).to_pylist()).encode()
    return content


def mentions(folder: Path, clip: str) -> list[str]:
    """All files that have a clip in their names or contents, however it is written."""
    octal = text_encoding.CEscape(clip.encode(), as_utf8=False)  # as protocol buffers in text do
    wanted = [
        spelling.encode(coding)
        for spelling in {clip, html.escape(clip), json.dumps(clip)[1:-1], quote(clip), octal}
        for coding in ("utf-8", "utf-16-le", "utf-16-be")
    ]
    return [
        name
        for name, content in contents(folder).items()
        if clip in name or any(spelling in opened(name, content) for spelling in wanted)
    ]


def test_a_dry_run_and_a_no_change_nothing(output: PipelineConfig, tried: Tried) -> None:
    clip = clip_in(features.TRAIN)
    before = contents(output.output_root)
    dry = call(output, "--clip", clip, "--dry-run")
    assert dry.exit_code == 0
    assert "Nothing was removed" in dry.stdout
    for expected in ("2 rows of data/tranch_master.csv", "data/tfrecords/", "artifacts/ImageTable",
                     "artifacts/TrancheExampleGen", "artifacts/SchemaGen",
                     "features/", f"review/{RUN}/index.html",
                     "was trained on it, pushed to"):  # fmt: skip
        assert expected in dry.stdout
    refused = call(output, "--clip", clip, answer="n\n")
    assert refused.exit_code == 1
    assert contents(output.output_root) == before
    tried("refusals", 2)


@pytest.mark.parametrize("split", SHARES)
def test_a_clip_goes_with_all_that_was_made_from_it(
    output: PipelineConfig, finished: Path, tried: Tried, split: str
) -> None:
    root, clip = output.output_root, clip_in(split)
    assert len(mentions(root, clip)) > 5
    result = call(output, "--clip", clip, "--yes")
    assert result.exit_code == 0
    assert mentions(root, clip) == []
    words = "was tested on it, not trained" if split == features.TEST else "was trained on it"
    assert words in result.stdout
    assert list(output.serving_dir.glob("*/saved_model.pb"))  # it stays, and people decide
    other = next(other for other in CLIPS if other != clip)
    assert other in (output.data_dir / "tranch_master.csv").read_text()
    with pytest.raises(InputError, match="contains nothing of clip"):
        call(output, "--clip", clip, "--yes")
    # With the data's own copy gone, too, the next run is one without the clip.
    again = finished / f"data-{split}"
    shutil.copytree(finished / "data", again)
    for tranche, clips in (("1", CLIPS[:20]), ("2", CLIPS[20:])):
        table(again, tranche, [each for each in clips if each != clip])
        folder = finished / "images" / f"tranch{tranche}"
        kept = finished / f"kept-{split}-{tranche}"
        shutil.copytree(folder, kept, ignore=lambda _, names: [n for n in names if clip in n])
        shutil.make_archive(str(again / f"persons-posture-tranch{tranche}"), "zip", kept)
    run(output, again, "20260102T000000Z")
    page = snapshot.page_path(root, "20260102T000000Z")
    assert [name for name in mentions(root, clip) if name != str(page.relative_to(root))] == []
    assert mentions(root, other)
    tried("clips")


@pytest.fixture(scope="module")
def trained(command: "Command", tmp_path_factory: pytest.TempPathFactory) -> "Ended":
    """A whole run on so little data that SchemaGen lists all clips, and all images."""
    from tests.support.running import SETTINGS

    root = tmp_path_factory.mktemp("trained")
    folder = root / "data" / "home"
    folder.mkdir(parents=True)
    clips, frames = CLIPS[:30], range(3)
    for number, clip in enumerate(clips):
        for frame in frames:
            colour = (number * 8, frame * 90, 80)
            Image.new("RGB", (80, 60), colour).save(folder / f"{clip}_cat-1_{frame:03}.png")
    lost = f"{clips[0]}_cat-1_009.png,One,Lying,No,Staff,No\n"  # without its image
    table(root / "data", "1", clips, lost, frames=len(frames))
    settings = {**SETTINGS, "tuning_minutes": 0.01}
    return command.run(root / "out", "--data-root", str(root / "data"), **settings)


def use_everything(root: Path, clip: str) -> None:
    """Leaves in an output folder what the other commands leave, and people."""
    image = next((root.parent / "data" / "home").glob(f"{clip}*"))
    answered = invoke(predict, str(image), "--json", "--output-root", str(root))
    (root / "answers.jsonl").write_text(answered)
    page = Path(invoke(review, "--output-root", str(root)).splitlines()[-1])
    shutil.copy(page, root / "for the meeting.html")
    with gzip.open(root / "logs" / "old.log.gz", "wt") as log:
        log.write(image.name)
    # What TFX keeps of a component that failed.
    store = lineage.open_store(
        PipelineConfig(output_root=root), mlmd.SqliteMetadataSourceConfig.READWRITE
    )
    execution = store.get_executions()[-1]
    message = json.dumps({"resultMessage": f"Error: {image} cannot be read", "code": 1})
    execution.custom_properties["__execution_result__"].string_value = message
    store.put_executions([execution])


def invoke(command: click.Command, *arguments: str) -> str:
    result = CliRunner().invoke(command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_command_works_on_a_copy_and_leaves_the_original_alone(
    trained: "Ended", tmp_path: Path, tried: Tried
) -> None:
    before = contents(trained.out)
    clip = clip_in(features.TRAIN)
    shutil.copytree(trained.out.parent / "data", tmp_path / "data")
    copy = shutil.copytree(trained.out, tmp_path / "copy")
    image = str(next((tmp_path / "data" / "home").iterdir()))
    with read_only(copy, tmp_path / "mounted") as mounted:
        there = ("--output-root", str(mounted))
        assert json.loads(invoke(predict, image, "--json", *there))["image"] == image
        device = invoke(export, *there, "--to", str(tmp_path / "device"))
        assert device.splitlines()[-1] == str(tmp_path / "device")
        (model,) = json.loads(invoke(status, "--json", *there))["models"]
        assert model["path"].startswith(str(mounted)) and model["in_service"]
    use_everything(copy, clip)
    assert (copy / "for the meeting.html").exists()
    result = call(PipelineConfig(output_root=copy), "--clip", clip)
    assert result.exit_code == 1 and "Removed" not in result.stdout, "nobody said yes"
    result = call(PipelineConfig(output_root=copy), "--clip", clip, "--yes")
    assert f"was trained on it, pushed to {copy}/serving" in result.stdout
    # Nobody knows what is in an archive that somebody else wrote.
    assert result.exit_code == 1 and result.stdout.endswith(f"  {copy}/logs/old.log.gz\n")
    assert mentions(copy, clip) == ["logs/old.log.gz"]
    assert contents(trained.out) == before
    tried("commands on a copy", 5)


def test_nothing_of_a_clip_is_left_after_a_whole_run(trained: "Ended", tried: Tried) -> None:
    assert trained.record["verdict"] == "pushed", trained.text
    clip = clip_in(features.TRAIN)
    use_everything(trained.out, clip)
    (trained.out / "logs" / "old.log.gz").unlink()
    before = mentions(trained.out, clip)
    places = {Path(name).parts[1] for name in before if "artifacts/" in name}
    assert {"SchemaGen", "ImageTable", "TrancheExampleGen", "Transform"} <= places
    assert {"answers.jsonl", "for the meeting.html", "metadata.sqlite"} <= set(before)
    result = call(PipelineConfig(output_root=trained.out), "--clip", clip, "--yes")
    assert result.exit_code == 0, result.stdout
    assert "was trained on it" in result.stdout
    assert mentions(trained.out, clip) == []
    # What people go on working with.
    assert list((trained.out / "serving" / "posture").glob("*/saved_model.pb"))
    left = {path.name for path in (trained.out / "artifacts").glob("*") if any(path.rglob("*.*"))}
    assert {"Trainer", "Evaluator", "ValidationGate", "ServingCheck"} <= left
    tried("clips of a whole run")


def test_a_tranche_goes(output: PipelineConfig, tried: Tried) -> None:
    root = output.output_root
    result = call(output, "--tranche", "2", "--yes")
    assert "was trained on it" in result.stdout
    for clip in CLIPS[20:]:
        assert mentions(root, clip) == [], clip
    assert CLIPS[0] in (output.data_dir / "tranch_master.csv").read_text()
    assert (output.data_dir / "images" / "tranch1").is_dir()
    assert not (output.data_dir / "images" / "tranch2").exists()
    tried("tranches")


def test_what_is_not_there_is_said(output: PipelineConfig, tmp_path: Path, tried: Tried) -> None:
    for arguments, message in (
        (("--clip", "nobody"), "contains nothing of clip nobody"),
        (("--clip", CLIPS[0][:-1]), "contains nothing of"),  # no prefix of a name
        (("--tranche", "7"), "contains nothing of tranche 7"),
        ((), "Give either"),
        (("--clip", "a", "--tranche", "1"), "Give either"),
    ):
        with pytest.raises(InputError, match=message):
            call(output, *arguments, "--yes")
        tried("refused")
    with pytest.raises(InputError, match="There is no output folder"):
        call(PipelineConfig(output_root=tmp_path / "absent"), "--clip", "a")
