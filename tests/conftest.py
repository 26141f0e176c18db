"""Fixtures that every test may use."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.missing import missing

if TYPE_CHECKING:  # most tests need neither, and they take long to import
    from tests.support.running import Command, Ended

# No test depends on luck, or on how busy the machine is.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first what needs a whole run: that takes longest, and files are dealt out in order."""
    items.sort(key=lambda item: "whole_run" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real label tables, photos, weights and odd images: `../shared/data` from the root.

    They are not part of the repository. Without them the test is skipped, except
    in CI (`CI` set in the environment), where their absence is a failure.
    """
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if folder.is_dir():
        return folder
    missing(f"the real data are not there: expected the folder {folder}")


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> "Command":
    """The command line."""
    from tests.support.running import Command

    return Command(tmp_path_factory.mktemp("settings"))


@pytest.fixture(scope="session")
def tranches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small tranches of drawn images; one of two clips, of one posture, that are both in train.

    There is also a table whose name is not quite right.
    """
    from components.demo.tranches import draw_tranches

    folder = tmp_path_factory.mktemp("tranches")
    draw_tranches(folder, clips=120, seed=3)
    _add_two_clips(folder)
    (folder / "tranch4_labels (1).csv").touch()
    return folder


def _add_two_clips(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    names = [f"night{clip}_cat-1_{frame}.png" for clip in (1, 3) for frame in range(3)]
    rows = "".join(f"{name},One,Sitting,No,Patient\n" for name in names)
    header = "file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n"
    (folder / "tranch10_labels.csv").write_text(header + rows)
    (folder / "tranch10").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (len(names), 48, 64, 3), np.uint8)
    for name, pixels in zip(names, noise, strict=True):
        Image.fromarray(pixels).save(folder / "tranch10" / name)


@pytest.fixture(scope="session")
def whole_run(
    command: "Command", tranches: Path, tmp_path_factory: pytest.TempPathFactory
) -> "Ended":
    """A whole run on them; who does more than read its output folder asks for `rerunnable`."""
    from tests.support.running import SETTINGS

    out = tmp_path_factory.mktemp("out")
    return command.run(out, "--data-root", str(tranches), **SETTINGS)


@pytest.fixture
def rerunnable(whole_run: "Ended") -> Iterator["Ended"]:
    """The same run, to run again on its output folder, which is put back after the test."""
    from tests.support.running import put_back

    with put_back(whole_run.out):
        yield whole_run


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph that the Transform component writes, learnt from one picture."""
    import tensorflow as tf

    from schema import features
    from tests.support.transform import preprocess

    row = {
        features.IMAGE: tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8)).numpy(),
        features.POSTURE: b"Lying",
        features.CLIP: b"clip",
        features.FILE_NAME: b"clip_cat-1_001.png",
        **dict.fromkeys((features.WIDTH, features.HEIGHT), 400),
        **dict.fromkeys(features.MEASURES, 100.0),
    }
    folder = tmp_path_factory.mktemp("transform")
    preprocess([row], folder, size=32)
    return folder / "graph"
