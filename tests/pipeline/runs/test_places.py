"""Output folders that were copied, moved, linked or restored, after runs of a tiny pipeline."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from pipeline.commands.crossval import crossval
from pipeline.commands.purge import purge
from pipeline.commands.review import review
from pipeline.commands.run import run
from pipeline.commands.status import status
from pipeline.config import PipelineConfig
from pipeline.runs import lineage, metadata_file
from pipeline.runs.reader import Runs
from pipeline.runs.record import record
from tests.support import tiny_runs
from tests.support.read_only import read_only


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run that pushed."""
    root = tmp_path_factory.mktemp("made") / "out"
    tiny_runs.run(tiny_runs.settings(root), "r1")
    return root


def _copy(made: Path, place: Path) -> Path:
    return Path(shutil.copytree(made, place / "copy", symlinks=True))


def _copy_and_lose(made: Path, place: Path) -> Path:
    """The original is gone: the folder was moved."""
    original = _copy(made, place)
    return original.rename(place / "moved")


def _copy_of_a_copy(made: Path, place: Path) -> Path:
    return Path(shutil.copytree(_copy(made, place), place / "deeper" / "artifacts" / "out"))


def _hard_links(made: Path, place: Path) -> Path:
    """As backup programs make them."""
    return Path(shutil.copytree(made, place / "backup", copy_function=os.link))


def _link(made: Path, place: Path) -> Path:
    """Another name of a copy."""
    (place / "link").symlink_to(_copy(made, place))
    return place / "link"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def call(command: Any, root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(command, ["--output-root", str(root), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("take", [_copy, _copy_and_lose, _copy_of_a_copy, _hard_links, _link])
def test_everything_is_read_and_written_where_the_folder_is(
    made: Path, take: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    before = contents(made)
    root = take(made, tmp_path)
    (model,) = json.loads(call(status, root, "--json"))["models"]
    for path in (model["path"], model["pushed"]):
        assert Path(path).is_relative_to(root) and Path(path).exists(), path
    assert call(review, root).splitlines()[-1] == str(root / "review" / "r1" / "index.html")
    config = tiny_runs.settings(root)
    metadata_file.own(config.metadata_path)  # as the launcher does
    second = tiny_runs.run(config, "r2", flavour="B")
    assert second.version and second.version.folder.is_relative_to(root)
    named = [Path(each.uri) for each in (*second.outputs.values(), *second.inputs.values())]
    assert all(path.is_relative_to(root) and path.exists() for path in named)
    recorded = lineage.open_store(config).get_artifacts()
    assert all(artifact.uri.startswith(f"{root}/") for artifact in recorded)
    # The model of r1 is the baseline, in this folder.
    assert [record(each).verdict for each in Runs(root)] == ["superseded", "pushed"]
    assert contents(made) == before


def test_a_read_only_mount_is_read_and_refused_in_a_sentence(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether these weights can be had is asked before.
    monkeypatch.setattr("pipeline.commands.crossval.check_base_weights", lambda config: None)
    before = contents(made)
    with read_only(made, tmp_path / "mounted") as root:
        (model,) = json.loads(call(status, root, "--json"))["models"]
        assert Path(model["pushed"]).parent == root / "serving" / "posture"
        with pytest.raises(InputError, match="cannot be used: Read-only file system"):
            call(review, root)
        for command, arguments in (
            (purge, ["--clip", "c", "--yes"]),
            (run, ["--base-weights", "none"]),
            (crossval, ["--data-root", str(tmp_path)]),
        ):
            with pytest.raises(InputError, match=f"folder {root} cannot be written: Read-only"):
                call(command, root, *arguments)
    assert contents(made) == before


def test_a_folder_that_is_older_than_its_database(made: Path, tmp_path: Path) -> None:
    """The database was restored, or kept elsewhere; artifacts and pages are from a backup."""
    root = _copy(made, tmp_path)
    config = tiny_runs.settings(root)
    backup = shutil.copytree(root, tmp_path / "backup")
    tiny_runs.run(config, "r2", flavour="B")
    newer = config.metadata_path.read_bytes()
    shutil.rmtree(root)
    shutil.copytree(backup, root)
    config.metadata_path.write_bytes(newer)
    assert [run["run_id"] for run in json.loads(call(status, root, "--json"))["runs"]] == ["r1"]
    third = tiny_runs.run(config, "r3", flavour="B")
    lost = [finding.sentence for finding in third.snapshot.warnings]
    assert any("Trainer/model" in words and "the folder is gone" in words for words in lost)
    assert third.version and (third.version.folder / "saved_model.pb").read_text().endswith("B")


def test_a_backup_that_was_restored_over_newer_runs(made: Path, tmp_path: Path) -> None:
    root = _copy(made, tmp_path)
    config = tiny_runs.settings(root)
    tiny_runs.run(config, "r2", flavour="B")
    metadata_file.check_age(config)
    shutil.copytree(made, root, dirs_exist_ok=True)
    result = CliRunner().invoke(status, ["--output-root", str(root), "--json"])
    assert [run["run_id"] for run in json.loads(result.stdout)["runs"]] == ["r1", "r2"]
    assert "metadata.sqlite does not know run r2" in result.stderr
    with pytest.raises(InputError, match="is missing, or older than the artifacts beside it"):
        metadata_file.check_age(config)
    config.metadata_path.unlink()
    with pytest.raises(InputError, match="is missing, or older than the artifacts beside it"):
        metadata_file.check_age(config)
    shutil.move(config.pipeline_root, tmp_path / "aside")  # as it says
    metadata_file.check_age(config)
    assert tiny_runs.run(config, "r3").version


def test_a_database_of_another_folder_is_not_believed(made: Path, tmp_path: Path) -> None:
    """Its artifacts have the same numbers and paths, and other contents."""
    root, other = _copy(made, tmp_path), tmp_path / "other"
    tiny_runs.run(tiny_runs.settings(other), "r1", flavour="B")
    config = tiny_runs.settings(root)
    shutil.copy(other / "metadata.sqlite", config.metadata_path)
    second = tiny_runs.run(config, "r2", flavour="B")
    assert any("of another database" in each.sentence for each in second.snapshot.warnings)
    assert second.version and (second.version.folder / "saved_model.pb").read_text().endswith("B")


def test_a_file_that_is_gone_from_an_artifact_is_named(made: Path, tmp_path: Path) -> None:
    root = _copy(made, tmp_path)
    (lost,) = root.glob("artifacts/ValidationGate/verdict/*/findings.json")
    lost.unlink()
    with pytest.raises(InputError, match=rf"{lost}, which run r1 made, cannot be read"):
        call(status, root)


@pytest.mark.parametrize("arguments", [["--against", "r1"], ["r1", "--against", "r1"]])
def test_a_run_is_not_compared_with_itself(made: Path, arguments: list[str]) -> None:
    with pytest.raises(InputError, match="Run r1 cannot be compared with itself"):
        call(review, made, *arguments)


def test_a_run_without_answers_is_not_compared(made: Path, tmp_path: Path) -> None:
    root = _copy(made, tmp_path)
    tiny_runs.run(tiny_runs.settings(root), "r2")
    with pytest.raises(InputError, match="This run keeps no model's answers to test images"):
        call(review, root, "r1", "--against", "r2")


FOLDERS = st.lists(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1).filter(
        lambda name: name not in (".", "..")
    ),
    min_size=1,
    max_size=6,
)


@given(FOLDERS, st.sampled_from(["", "/", "/a", "file:///a/b", "../../etc", "/x/../y/../z"]))
def test_no_recorded_path_leads_out_of_the_folder(parts: list[str], before: str) -> None:
    config = PipelineConfig(output_root=Path("/here/out"))
    uri = "/".join([before, *parts])
    try:
        found = Path(os.path.normpath(lineage.place(uri, config)))
    except InputError as error:
        assert "which is no folder of an artifact" in str(error)
    else:
        assert found.parents[2] == config.pipeline_root
