"""What docs/security.md promises, where no other test shows it."""

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from components import processes
from components.ingest.converter import Converter
from pipeline.commands import predict
from tests.robustness import pictures
from tests.robustness.conftest import Tried
from tests.robustness.pictures import encode, picture

ROOT = Path(predict.__file__).parents[2]
PRODUCT = [
    path
    for place in ("components", "pipeline", "schema", "local_runner.py", "cluster_runner.py")
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
]
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNNING = {"eval", "exec", "compile", "__import__"}
UNSAFE = {"allow_pickle": True, "safe_mode": False, "shell": True, "verify": False}


def test_nothing_in_the_code_unpickles_or_runs_data(tried: Tried) -> None:
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert not UNPICKLING & {alias.name.split(".")[0] for alias in node.names}, where
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in UNPICKLING, where
            elif isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else ""
                assert called not in RUNNING, where
                for keyword in node.keywords:
                    if keyword.arg in UNSAFE and isinstance(keyword.value, ast.Constant):
                        assert keyword.value.value != UNSAFE[keyword.arg], where
        tried("files")


def test_nothing_in_the_current_folder_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    """Whoever runs the command in a folder of somebody's data does not run what lies there."""
    for name in ("json", "PIL", "numpy", "components", "pipeline", "imagehash", "pydantic"):
        (tmp_path / f"{name}.py").write_text("open('was_run', 'w').close()\n")
        tried("modules")
    path = pictures.write(tmp_path, "a.png", encode(picture(20, 10)))
    monkeypatch.chdir(tmp_path)
    with Converter() as converter:
        assert converter.convert(path, 64).width == 20
    worker = subprocess.run(  # noqa: S603 (a command of ours)
        processes.python("pipeline.process.worker"),
        input=b"",
        env=processes.environment(),
        capture_output=True,
    )
    assert b"ended before it sent the job" in worker.stderr
    assert not (tmp_path / "was_run").exists()


def test_what_commands_write_is_their_owners(tmp_path: Path, tried: Tried) -> None:
    """Also single commands, also where the umask would let everybody read."""
    folder = tmp_path / "data" / "home"
    folder.mkdir(parents=True)
    pictures.write(folder, "a_cat-1_001.png", encode(picture(60, 40)))
    pictures.write(folder, "b_cat-1_001.png", b"no picture")
    (tmp_path / "data" / "tranch1_labels.csv").write_text(
        "file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n"
        "a_cat-1_001.png,One,Lying,No,Patient\nb_cat-1_001.png,One,Lying,No,Patient\n"
    )
    out = tmp_path / "out"
    for command in (
        ("master", "--data-root", str(tmp_path / "data"), "--output-root", str(out)),
        ("tfrecords", "--output-root", str(out)),
    ):
        subprocess.run(  # noqa: S603 (a command of ours)
            [sys.executable, "-m", "pipeline.commands.script", *command],
            cwd=ROOT,
            umask=0o022,
            check=True,
            capture_output=True,
        )
    written = [out, *out.rglob("*")]
    assert len(written) > 6
    for path in written:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} has the mode {mode:o}"
        tried("files and folders")


def test_the_reader_of_pictures_has_no_more_than_it_needs(tmp_path: Path, tried: Tried) -> None:
    """No file of this process but its pipes, no core dumps, and a bound on its memory."""
    path = pictures.write(tmp_path, "a.png", encode(picture(20, 10)))
    with Converter() as converter, (tmp_path / "secret").open("w"):
        converter.convert(path, 64)
        assert converter._process is not None
        place = Path(f"/proc/{converter._process.pid}")
        limits = dict(
            (line[:26].strip(), line[26:47].strip())
            for line in (place / "limits").read_text().splitlines()
        )
        assert limits["Max core file size"] == "0"
        assert limits["Max address space"] != "unlimited"
        opened = {os.readlink(file) for file in (place / "fd").iterdir()}
        assert not any("secret" in name for name in opened)
        tried("processes")
