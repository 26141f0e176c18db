"""How this project starts Python processes of its own, and what they do first."""

import errno
import fnmatch
import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ROOT = Path(__file__).resolve().parents[1]

# All that processes get of the user's environment: patterns of names. Libraries read hundreds of
# other variables, which would decide about results, or hand data to the wrong program.
_PASSED: Final = (
    # Who and where the user is, the terminal, the desktop of `review --open`.
    *("HOME", "KRB5CCNAME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"),
    *("LANG", "LANGUAGE", "LC_*", "LOCPATH", "TZ"),
    *("COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "TERM", "_LOOKDEEP_COMPLETE"),
    *("BROWSER", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_*"),
    # The machine: linker (and libfaketime, which it preloads), processors, GPUs.
    *("FAKETIME*", "LD_*", "NO_FAKE_STAT", "*_NUM_THREADS", "TF_NUM_*_THREADS"),
    *("CUDA_*", "NCCL_*", "NVIDIA_*", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR"),
    "TF_CPP_*",  # how much TensorFlow logs
    # The network: downloads need them.
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    # The cluster: Slurm (not SBATCH_*, which would win over the settings), environment modules,
    # Java, and where Beam's other engines are.
    *("SLURM*", "BASH_ENV", "BASH_FUNC_ml%%", "BASH_FUNC_*module*"),
    *(
        "LMOD_*",
        "LOADEDMODULES",
        "MODULE*",
        "_LMFILES_",
        "_ModuleTable*",
        "__LMOD_*",
        "__MODULES_*",
    ),
    *("JAVA_HOME", "JDK_JAVA_OPTIONS", "M2_HOME", "MAVEN_*"),
    *("AWS_*", "CLOUDSDK_*", "GOOGLE_*", "HADOOP_*", "SPARK_*"),
    "LOOKDEEP_FLINK",  # pipeline.cluster.flink.plan
)
_KERAS: Final = "lookdeep"  # folder for what Keras keeps, in the user's own one
_withheld: dict[str, str] = {}  # what `isolate` took from the environment
_named: set[str] = set()  # variables that settings name


def python(module: str) -> tuple[str, ...]:
    """Returns the command that runs one of the project's modules.

    Without -P, Python would look for modules in the current folder first: that may be a
    folder of somebody else's data, with a `json.py` in it.

    Args:
      module: its dotted name.
    """
    return (sys.executable, "-P", "-m", module)


def environment() -> dict[str, str]:
    """Returns the environment of every process that the project starts.

    It has what passes of this process's environment, and nothing else that the user has set for
    other work. The command finds the project, and takes packages from nowhere but its own Python.
    """
    keras = Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))
    passing = (*_PASSED, *_named)
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in passing)
    } | {
        "PYTHONPATH": str(_ROOT),
        "PYTHONWARNINGS": "ignore",
        "KERAS_BACKEND": "tensorflow",
        # Without the user's keras.json, which would set data formats and types.
        "KERAS_HOME": str(keras if keras.name == _KERAS else keras / _KERAS),
        "grpc_proxy": "",  # gRPC talks to this machine and the cluster only
        "GLOG_minloglevel": "3",  # what ML Metadata says, commands say better
    }


def isolate() -> None:
    """Rids this process, and all that it starts, of what is not in `environment`.

    Python has read its own variables by now: if there are some, it starts again without them.
    """
    clean = environment()
    if any(_is_pythons(name) and clean.get(name) != os.environ[name] for name in os.environ):
        others = {name: value for name, value in os.environ.items() if not _is_pythons(name)}
        own = {name: value for name, value in clean.items() if _is_pythons(name)}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], others | own)  # noqa: S606 (the same command)
    _withheld.update(os.environ)
    os.environ.clear()
    os.environ.update(clean)


def _is_pythons(name: str) -> bool:
    return name.startswith("PYTHON")


def named(name: str) -> str:
    """Reads a variable that settings name, for example that of a password.

    Processes that are started from now on get it, too.

    Args:
      name: of the variable.

    Returns:
      Its value; empty if it is not set.
    """
    _named.add(name)
    if name in _withheld:
        os.environ.setdefault(name, _withheld[name])
    return os.environ.get(name, "")


def hush_libraries() -> None:
    """Keeps from the terminal what libraries say of the machine and of one another.

    Unless the user asked to hear it. Call it before TensorFlow is imported. What fails raises
    all the same.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it at import
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


class _Lossy(io.FileIO):
    """A file of which the part is lost that the disk has no space for, or no terminal shows."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes as much as there is space for, and says that it was all."""
        try:
            super().write(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO):  # EIO: the terminal was closed
                raise
        return memoryview(data).nbytes


def lose_output() -> None:
    """Lets this process go on when its log, standard output and error, cannot be written.

    Beam's workers print what failed before they report it. Without space for the print
    there would be no report, and the runner would wait for it for ever.
    """
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(_Lossy(number, "w", closefd=False), errors="replace", write_through=True)
        for number in (1, 2)
    )
