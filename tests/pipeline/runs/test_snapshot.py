"""Where commands look for what the runs of an output folder have left."""

from pathlib import Path

import pytest
from rich.console import Console

from components.errors import InputError
from pipeline import config as run_settings
from pipeline.config import PipelineConfig
from pipeline.metadata_server import MetadataServer
from pipeline.process import launcher
from pipeline.review import provenance
from pipeline.runs import snapshot
from pipeline.runs.run import Snapshot

SERVER = MetadataServer(kind="mysql", host="db", user="me", password_env="DB")  # noqa: S106 (a name)


def test_the_last_run_knows_where_metadata_are(tmp_path: Path) -> None:
    assert snapshot.settings(tmp_path).metadata_store == tmp_path / "metadata.sqlite"
    for run_id, server in (("1", None), ("2", SERVER)):
        config = PipelineConfig(output_root=tmp_path, metadata=server, seed=3)
        snapshot.write(Snapshot(run_id=run_id, config=config, started=0))
    assert snapshot.settings(tmp_path).metadata_store == SERVER


def test_a_folder_that_is_known_on_a_server_by_another_name_is_refused(tmp_path: Path) -> None:
    config = PipelineConfig(output_root=tmp_path / "out", metadata=SERVER)
    snapshot.write(Snapshot(run_id="1", config=config, started=0))
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert snapshot.settings(tmp_path / "link").pipeline_name == config.pipeline_name
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"kept on mysql://me@db/lookdeep as those of .*/out;"):
        snapshot.settings(moved)


def test_what_is_no_snapshot_is_named(tmp_path: Path) -> None:
    config = PipelineConfig(output_root=tmp_path, metadata=SERVER)
    snapshot.write(Snapshot(run_id="1", config=config, started=0))
    (snapshot.folder(tmp_path, "1") / snapshot.FILE_NAME).write_text("{")
    with pytest.raises(InputError, match="is not what a run wrote"):
        snapshot.settings(tmp_path)


@pytest.mark.parametrize(("before", "now"), [(SERVER, None), (None, SERVER)])
def test_a_folder_keeps_its_runs_in_one_place(
    before: MetadataServer | None,
    now: MetadataServer | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DB", "secret")
    config = PipelineConfig(output_root=tmp_path, metadata=before, base_weights="none")
    snapshot.write(Snapshot(run_id="1", config=config, started=0))
    with pytest.raises(InputError, match=r"are kept in .*, not in .*; go on with \[metadata\]"):
        launcher.launch(config.model_copy(update={"metadata": now}), Console(quiet=True))


def test_the_settings_of_a_run_on_a_server_can_be_used_again(
    tmp_path: Path,
) -> None:
    config = run_settings.load(None, output_root=tmp_path, metadata=SERVER.model_dump())
    provenance.write_settings(config, tmp_path / "settings.toml")
    assert run_settings.load(tmp_path / "settings.toml") == config
