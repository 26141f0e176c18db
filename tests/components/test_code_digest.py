"""An edited module or library changes the digest of exactly the modules that import it."""

import subprocess
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


@pytest.mark.parametrize("library", ["tensorflow", "keras", "pillow", "tfx"])
def test_another_version_of_a_library_changes_what_imports_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also through modules between, and only there: spreadsheet's rules import no library."""
    users = {
        "tensorflow": ("components.training.trainer",),
        "keras": ("components.training.trainer",),
        "pillow": ("components.ingest.converter",),
        "tfx": ("components.examples.validation_gate",),
    }[library]
    before = code_digest(*users), code_digest("components.ingest.spreadsheet")
    real = module.version
    monkeypatch.setattr(module, "version", lambda name: "0" if name == library else real(name))
    assert code_digest(*users) != before[0]
    assert code_digest("components.ingest.spreadsheet") == before[1]


def test_a_library_can_be_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest("components.ingest.spreadsheet", "tfx")
    assert before != code_digest("components.ingest.spreadsheet")
    monkeypatch.setattr(module, "version", lambda name: "0")
    assert code_digest("components.ingest.spreadsheet", "tfx") != before


def test_nothing_is_imported_to_be_hashed() -> None:
    code = (
        "import sys; from components.code_digest import code_digest\n"
        "code_digest('components.training.trainer', 'pipeline.evaluation')\n"
        "print([name for name in sys.modules if name in ('tensorflow', 'tfx', 'keras')])"
    )
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
