"""How the project's processes are started, and what they do first."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import processes

FAILING = """
import apache_beam as beam
from components import processes

processes.lose_output()
try:
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        pipeline | beam.Create([0]) | beam.Map(lambda number: 1 / number)
except Exception as error:
    with open({path!r}, "w") as file:
        file.write(str(error))
"""


def test_a_failure_is_reported_on_a_disk_without_space_for_its_log(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(  # noqa: S603 (a command of ours)
            [sys.executable, "-P", "-c", FAILING.format(path=str(said))],
            env=processes.environment(),
            stdout=full,
            stderr=full,
        )
    assert done.returncode == 0
    assert "division by zero" in said.read_text()


UNSEEN = """
from components import processes

processes.lose_output()
input()
print("Nobody sees this.")
"""


def test_output_to_a_terminal_that_was_closed_is_lost_and_nothing_else() -> None:
    terminal, output = os.openpty()
    with subprocess.Popen(  # noqa: S603 (a command of ours)
        [sys.executable, "-P", "-c", UNSEEN],
        env=processes.environment(),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,  # no SIGHUP
    ) as process:
        os.close(output)
        os.close(terminal)
        process.communicate(b"\n")
    assert process.returncode == 0


LOADING = """
import sys
from components import processes

processes.hush_libraries()
import tfx
import tensorflow as tf
from tensorflow_model_analysis import api

for _ in range(20):
    tf.function(lambda: tf.constant(0))()  # TensorFlow warns of so much tracing
print("This is heard.", file=sys.stderr)
"""


def test_libraries_do_not_speak_to_the_user() -> None:
    silent = {name: value for name, value in os.environ.items() if "WARNINGS" not in name}
    silent.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-P", "-c", LOADING],
        env=silent | {"PYTHONPATH": processes.environment()["PYTHONPATH"]},
        check=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stderr == "This is heard.\n"


# What people's environments have held, by what it would decide.
FOREIGN = {
    "Python": {
        "PYTHONPATH": "{folder}",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
        "PYTHONSTARTUP": "{folder}/start.py",
        "PYTHONUSERBASE": "{folder}",
        "PYTHONIOENCODING": "ascii",
        "PYTHONHASHSEED": "7",
        "PYTHONINSPECT": "",
        "PYTHONSAFEPATH": "1",
        "PYTHONDEVMODE": "1",
        "PYTHONNOUSERSITE": "",
        "PYTHONTRACEMALLOC": "1",
    },
    "Keras": {
        "KERAS_BACKEND": "jax",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "KERAS_NNX_ENABLED": "true",
        "TF_USE_LEGACY_KERAS": "1",
    },
    "TensorFlow": {
        "TF_CONFIG": "{{}}",
        "TF_DETERMINISTIC_OPS": "0",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
    },
    "others": {
        "BASH_FUNC_cd%%": "() {{ :; }}",
        "CONDA_PREFIX": "{folder}",
        "FORCE_COLOR": "1",
        "GRPC_VERBOSITY": "DEBUG",
        "GRPC_DNS_RESOLVER": "none",
        "JAVA_TOOL_OPTIONS": "-Xmx8m",
        "_JAVA_OPTIONS": "-Xmx8m",
        "LOOKDEEP_EVENTS_FD": "97",
        "MPLBACKEND": "module://nowhere",
        "PIP_USER": "1",
        "SBATCH_TIMELIMIT": "1",
        "UV_PYTHON": "3.9",
        "VIRTUAL_ENV": "{folder}",
    },
}
ALL = {name: value for group in FOREIGN.values() for name, value in group.items()}
PASSING = (
    "CUDA_VISIBLE_DEVICES",
    "BASH_FUNC_module%%",
    "HOME",
    "LC_NUMERIC",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "PATH",
    "SLURM_JOB_ID",
    "TMPDIR",
    "TZ",
    "https_proxy",
)


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([*ALL, *PASSING]),
            st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True),
        ),
        st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=9),
    )
)
def test_processes_get_what_passes_and_nothing_else(variables: dict[str, str]) -> None:
    with mock.patch.dict(os.environ, variables, clear=True):
        found = processes.environment()
        with mock.patch.dict(os.environ, found, clear=True):
            assert processes.environment() == found, "it changes from process to process"
    assert ALL.keys() & found.keys() <= {"KERAS_BACKEND", "PYTHONPATH", "PYTHONWARNINGS"}
    for name in PASSING:
        assert found.get(name) == variables.get(name)
    # Whatever else there is, the same values decide.
    assert found["KERAS_BACKEND"] == "tensorflow"
    assert found["grpc_proxy"] == ""
    assert found["PYTHONPATH"] == str(processes._ROOT)


def test_a_variable_that_settings_name_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_named", set())
    monkeypatch.setattr(processes, "_withheld", {"DB": "secret"})
    monkeypatch.delenv("DB", raising=False)
    assert "DB" not in processes.environment()
    assert processes.named("DB") == "secret"
    assert processes.environment()["DB"] == "secret"
    assert processes.named("ABSENT") == ""
    assert "ABSENT" not in processes.environment()
    monkeypatch.delenv("DB")


ISOLATED = """
import json, os, sys
from components import processes

processes.isolate()
import click
print(json.dumps({
    "environment": dict(os.environ),
    "optimize": sys.flags.optimize,
    "path": sys.path,
    "click": click.__file__,
    "arguments": sys.argv[1:],
}))
"""


def _isolated(folder: Path, variables: dict[str, str]) -> dict[str, Any]:
    """What a process with these variables is after `isolate`."""
    script = folder / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(processes._ROOT)!r})\n{ISOLATED}")
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, str(script), "a b", "*"],
        env={"HOME": str(folder), "PATH": os.environ["PATH"], **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def test_a_process_rids_itself_of_what_python_has_read(tmp_path: Path) -> None:
    fake = tmp_path / "foreign" / "click"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise ImportError('that of another Python')")
    expected = _isolated(tmp_path, {})
    assert expected["arguments"] == ["a b", "*"]
    python = [{name: value} for name, value in FOREIGN["Python"].items()]
    for variables in (*python, ALL):
        given = {name: value.format(folder=fake.parent) for name, value in variables.items()}
        found = _isolated(tmp_path, given)
        # PYTHONPATH finds the project where the script had to.
        assert {*found.pop("path")} == {*expected["path"], str(processes._ROOT)}, given
        assert found == {name: value for name, value in expected.items() if name != "path"}, given
