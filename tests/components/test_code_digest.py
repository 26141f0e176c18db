"""An edited module changes the digest of exactly the modules that import it."""

import sys
from pathlib import Path

import pytest

from components import code_digest as module
from components.code_digest import code_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "sampleparts"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "names.py").write_text("A = 1\n")
    (root / "model.py").write_text("from sampleparts.names import A\nimport json\n")
    (root / "trainer.py").write_text("from sampleparts import model\n")
    (root / "gate.py").write_text("B = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "PACKAGES", ("sampleparts",))
    yield root
    for name in [name for name in sys.modules if name.startswith("sampleparts")]:
        del sys.modules[name]


def test_edit_deep_below_changes_what_imports_it(package: Path) -> None:
    before = code_digest("sampleparts.trainer"), code_digest("sampleparts.gate")
    (package / "names.py").write_text("A = 2\n")
    after = code_digest("sampleparts.trainer"), code_digest("sampleparts.gate")
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_same_sources_same_digest(package: Path) -> None:
    assert code_digest("sampleparts.trainer") == code_digest("sampleparts.trainer")


def test_trainer_depends_on_its_parts_and_not_on_the_gate() -> None:
    assert code_digest("components.training.trainer") != code_digest("components.training.network")
    assert code_digest("components.training.trainer") != code_digest(
        "components.examples.validation_gate"
    )


def test_unknown_module_is_an_error() -> None:
    with pytest.raises(ValueError, match="no_such"):
        code_digest("components.no_such")
