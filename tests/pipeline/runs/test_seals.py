"""Damaged artifacts of real runs of a tiny pipeline are noticed, named and made again."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import PipelineConfig
from pipeline.runs import lineage, snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.seals import Seals

ANEW = {"ModelInService", "ReferenceModel", "Pusher", "ReviewPage"}

Run = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def seals(root: Path) -> Seals:
    return Seals(PipelineConfig(output_root=root))


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    """Runs the pipeline and says how each component ended."""
    from pipeline.process import worker
    from tests.support import tiny_pipeline, tiny_runs

    def run(run_id: str) -> dict[str, str]:
        config = tiny_runs.settings(root)
        snapshot.begin(run_id, config, 0.0)
        assert not worker.run_pipeline(tiny_pipeline.create(config), run_id)
        return {stage.name: stage.state for stage in Runs(root).read(run_id).components}

    return run


def _model(root: Path) -> Path:
    return max((root / "artifacts/Trainer/model").iterdir(), key=lambda path: int(path.name))


def _cut(model: Path) -> str:
    path = model / "Format-Serving/saved_model.pb"
    os.truncate(path, path.stat().st_size - 1)
    return 'the file "Format-Serving/saved_model.pb" has 13 bytes instead of 14'


def _change(model: Path) -> str:
    path = model / "Format-Serving/saved_model.pb"
    path.write_bytes(path.read_bytes().replace(b"model", b"Model"))
    return "was changed after it was written"


def _lose_file(model: Path) -> str:
    (model / "Format-Serving/saved_model.pb").unlink()
    return 'the file "Format-Serving/saved_model.pb" is gone'


def _swap_database(model: Path) -> str:
    """Gives the seal the time of an artifact of the same number that another database had."""
    config = PipelineConfig(output_root=model.parents[3])
    found = lineage.artifacts(lineage.open_store(config), config)
    (number,) = (each.id for each in found if each.uri == str(model))
    seal = config.seals_dir / f"{number}.json"
    seal.write_text(re.sub(r'"created": \d+', '"created": 1', seal.read_text()))
    return "the folder is that of another database"


def _lose_folder(model: Path) -> str:
    shutil.rmtree(model)
    return "the folder is gone"


def test_what_is_as_it_was_is_used_again(root: Path, seals: Seals, run: Run) -> None:
    assert seals.check() == []
    assert set(run("r1").values()) == {"ran"}
    assert seals.check() == [], "of a killed run, artifacts have no seals"
    seals.seal()
    path = _model(root) / "Format-Serving/saved_model.pb"
    os.utime(path)  # the same content at another time
    assert seals.check() == []
    states = run("r2")
    assert {name for name, state in states.items() if state != "cached"} == ANEW


@pytest.mark.parametrize("damage", [_cut, _change, _lose_file, _lose_folder, _swap_database])
def test_what_was_damaged_is_made_again(
    root: Path, seals: Seals, run: Run, damage: Callable[[Path], str]
) -> None:
    run(f"before {damage.__name__}")
    seals.seal()
    damaged = _model(root)
    words = damage(damaged)
    (finding,) = seals.check()
    assert words in finding.sentence and f"Trainer/model/{damaged.name}" in finding.sentence
    assert seals.check() == [], "it is said once"
    states = run(f"after {damage.__name__}")
    assert states["ValidationGate"] == "cached" and states["Trainer"] == "ran"
    assert _model(root) != damaged
    assert (_model(root) / "Format-Serving/saved_model.pb").read_text() == "not a model, A"
