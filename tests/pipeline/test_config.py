"""Settings: where they come from, which of them count, and what is refused in which words."""

import contextlib
import glob
import os
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline import config
from pipeline.cluster import settings
from pipeline.config import PipelineConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    text = 'data_root = "/data"\nbatch_size = 8\nalpha = 0.5\n[splits]\ntrain = 6\n'
    path = write(tmp_path, text)
    loaded = config.load(path, alpha=0.75, base_weights=None)
    assert (loaded.batch_size, loaded.alpha, loaded.base_weights) == (8, 0.75, "imagenet")
    assert loaded.splits == config.SplitShares(train=6, eval=15, test=15)
    assert not loaded.is_demo


def test_paths_become_absolute_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = config.load(None, data_root="tranches", output_root="a b", base_weights="w.h5")
    assert loaded.data_root == tmp_path / "tranches"
    assert loaded.output_root == tmp_path / "a b"
    assert loaded.base_weights == str(tmp_path / "w.h5")


def test_weights_that_are_no_file_stay_words() -> None:
    assert config.load(None, data_root="x").base_weights == "imagenet"
    assert config.load(None, data_root="x", base_weights="none").base_weights == "none"


def test_without_data_the_demo_settings_apply_below_file_and_flags(tmp_path: Path) -> None:
    demo = config.load(None)
    assert demo.is_demo
    assert demo.base_weights == "none"
    path = write(tmp_path, 'base_weights = "imagenet"\nhead_epochs = 2\n')
    assert config.load(path).base_weights == "imagenet"
    assert config.load(path).head_epochs == 2
    assert config.load(path, base_weights="none").base_weights == "none"


def test_demo_tranches_are_refused_beside_data(tmp_path: Path) -> None:
    assert config.load(None, demo_tranches=4).demo_tranches == 4
    path = write(tmp_path, "demo_tranches = 4\n")
    assert config.load(path).demo_tranches == 4
    assert config.load(path, data_root="x").demo_tranches == 4  # as `settings.toml` of a run has
    with pytest.raises(InputError, match=r"Demo tranches are not drawn beside those in x; leave"):
        config.load(None, data_root="x", demo_tranches=4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[acceptance]\nacuracy_floor = 0.9",
            "no setting acceptance.acuracy_floor, did you mean accuracy_floor?",
        ),
        ("demo_tranches = 0", "demo_tranches is 0 and should be greater than or equal to 1."),
        ("demo_tranches = 21", "demo_tranches is 21 and should be less than or equal to 20."),
        ("acuracy_floor = 0.9", "did you mean accuracy_floor, in the table [acceptance]?"),
        ("zzz = 1", "no setting zzz."),
        ("[splits]\ntests = 1", "no setting splits.tests, did you mean test?"),
        ("[splits]\ntest = 0", "splits.test is 0 and should be greater than or equal to 1"),
        ('batch_size = "32"', "batch_size is '32' and should be a valid integer"),
        ("feature_cache = 1", "feature_cache is 1 and should be a valid boolean"),
        ('fit = "crop"', "fit is 'crop' and should be 'stretch', 'border' or 'letterbox'"),
        ("[acceptance]\naccuracy_floor = nan", "acceptance.accuracy_floor is nan"),
        ("[acceptance]\naccuracy_floor = 1.5", "acceptance.accuracy_floor is 1.5"),
        ("wanted_accuracy = 95", "wanted_accuracy is 95"),
        ("[acceptance]\ncoverage_floor = -0.1", "acceptance.coverage_floor is -0.1"),
        ("accuracy_floor = 0.9", "did you mean accuracy_floor, in the table [acceptance]?"),
        ("max_accuracy_drop = 0.1", "did you mean in_service, in the table [acceptance]?"),
        ("[acceptance.recall_floors]\nKneeling = 0.9", "there is no posture Kneeling"),
        ("[acceptance.recall_floors]\nLying = 2.0", "acceptance.recall_floors.Lying is 2.0"),
        ("[acceptance.in_service]\noverall = -1.0", "acceptance.in_service.overall is -1.0"),
        ("[acceptance]\nevidence = 'some'", "acceptance.evidence is 'some'"),
        ("batch_size = ", "is not valid TOML"),
        ("[metadata]\nhots = 'db'", "no setting metadata.hots, did you mean host?"),
        ("[metadata]\npassword = 'secret'", "metadata.kind is missing; metadata.host is missing"),
        (
            "[metadata]\nkind = 'mysql'\nhost = 'db'\nuser = 'me'",
            "metadata: name password_env or password_file, one of them.",
        ),
        (
            "[metadata]\nkind = 'postgresql'\nhost = 'db'\nuser = 'me'\npassword_env = 'DB'",
            "metadata.kind is 'postgresql' and should be 'mysql'",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        config.load(path)
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message
    assert "secret" not in message


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"alpha is 0 .*batch_size is 0 .*no setting epochs"):
        config.load(write(tmp_path, "alpha = 0\nbatch_size = 0\nepochs = 3\n"))


def test_settings_survive_the_way_to_the_worker(tmp_path: Path) -> None:
    text = (
        "alpha = 0.35\n[splits]\ntest = 20\n[metadata]\nkind = 'mysql'\nhost = 'db'\nuser = 'me'\n"
    )
    path = write(tmp_path, text + "password_env = 'DB'\n")
    loaded = config.load(path, data_root="tranches")
    assert PipelineConfig.model_validate_json(loaded.model_dump_json()) == loaded


@pytest.mark.parametrize("name", ["data_root", "output_root", "base_weights"])
def test_a_path_that_is_not_utf8_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"udcff.*\({name}\) is not UTF-8"):
        config.load(None, **{name: os.fsdecode(b"/data/\xff")})


@pytest.mark.parametrize("name", ["[a]", "*", "?", "a\\b"])
def test_libraries_are_told_no_path_that_is_a_pattern(name: str, tmp_path: Path) -> None:
    plain = config.load(None, output_root=tmp_path / "out {a,b} %s")
    assert plain.told(plain.pipeline_root) == str(plain.pipeline_root)
    (tmp_path / name).mkdir()
    found = config.load(None, output_root=tmp_path / name)
    found.pipeline_root.mkdir()
    with contextlib.chdir(found.output_root):
        assert Path(found.told(found.pipeline_root)).samefile(found.pipeline_root)
        assert glob.glob(f"{found.told(found.pipeline_root)}*") == [found.told(found.pipeline_root)]
    toml = tmp_path / "run.toml"
    toml.write_text('[cluster]\nengine = "flink"\n')
    with pytest.raises(InputError, match="On Flink"):
        settings.load(toml, output_root=found.output_root)
