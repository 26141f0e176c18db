"""The dossiers of real, tiny runs."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from components import files
from components.errors import InputError
from pipeline.commands.dossier import dossier
from pipeline.dossier import build
from pipeline.runs import snapshot
from pipeline.runs.reader import Runs
from tests.support import tiny_runs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a run that was pushed and one whose data were refused."""
    root = tmp_path_factory.mktemp("out")
    config = tiny_runs.settings(root)
    tiny_runs.run(config, "pushed")
    tiny_runs.run(config, "refused", data="The label Kneeling is unknown.")
    return root


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


def write(output: Path, run_id: str) -> Path:
    result = CliRunner().invoke(dossier, [run_id, "--output-root", str(output)])
    if result.exception:
        raise result.exception
    assert result.exit_code == 0
    return Path(result.stdout.splitlines()[-1])


def test_the_dossier_of_a_run(output: Path) -> None:
    with files.owner_only():
        folder = write(output, "pushed")
    assert folder == output / "dossier" / "pushed"
    assert [path.name for path in folder.parent.iterdir()] == ["pushed"]
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Dossier of run pushed\n")
    for path in (folder, *folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert path == folder or f"({path.name})" in readme or path.name == "README.md"
    card = snapshot.folder(output, "pushed") / "model_card.md"
    assert (folder / "model_card.md").read_bytes() == card.read_bytes()
    assert snapshot.runs(output) == ["pushed", "refused"], "a dossier is no run"


def test_refused_data(output: Path) -> None:
    folder = write(output, "refused")
    assert "The label Kneeling is unknown." in (folder / "decision.md").read_text(encoding="utf-8")
    assert not (folder / "model_card.md").exists()
    assert "- model_card.md: " in (folder / "README.md").read_text(encoding="utf-8")


def test_what_somebody_filled_in_is_kept(output: Path) -> None:
    filled = write(output, "pushed") / "TO_FILL_IN.md"
    filled.write_text("Answer: yes")
    with pytest.raises(InputError, match=r"There is a dossier of run pushed .* move it away"):
        write(output, "pushed")
    assert filled.read_text() == "Answer: yes"
    filled.parent.rename(output / "dossier" / "signed")
    assert "Answer: yes" not in (write(output, "pushed") / "TO_FILL_IN.md").read_text()


def test_it_is_whole_or_not_there(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the folder has its name, and written again after that."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", _killed)
        build.build(Runs(output).read("pushed"))
    assert not (output / "dossier" / "pushed").exists()
    folder = write(output, "pushed")
    assert [path.name for path in folder.parent.iterdir()] == ["pushed"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_unknown_run_is_named(output: Path) -> None:
    with pytest.raises(InputError, match=r"There is no run nobody in .* the latest are: pushed"):
        write(output, "nobody")


def test_a_folder_that_cannot_be_written_is_named(output: Path) -> None:
    (output / "dossier").touch()
    with pytest.raises(InputError, match=rf"{output / 'dossier'}\S* cannot be used: Not a dir"):
        write(output, "pushed")
    os.remove(output / "dossier")
