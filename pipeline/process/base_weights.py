"""Checks that the base weights are available, before anything expensive starts."""

import threading
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Final

from components import processes
from components.errors import InputError
from pipeline.config import IMAGENET, NO_WEIGHTS, PipelineConfig

# Where Keras downloads them from, and what it publishes (keras.applications.MobileNetV2).
KERAS_URL: Final = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
ALPHAS: Final = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
SIZES: Final = (96, 128, 160, 192, 224)
FALLBACK_SIZE: Final = 224  # what Keras loads for any other size

_TIMEOUT: Final = 4.0  # seconds
_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"


def check(config: PipelineConfig, *, url: str = KERAS_URL) -> None:
    """Makes sure that training will find its base weights.

    Args:
      config: the settings of the run.
      url: folder that Keras downloads from.

    Raises:
      InputError: the given file does not exist or is not HDF5; there are no published weights
        for `alpha`; or they are neither in Keras's cache nor downloadable.
    """
    if config.base_weights == NO_WEIGHTS:
        return
    if config.base_weights == IMAGENET:
        _check_imagenet(config, url)
    else:
        _check_file(Path(config.base_weights))


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise InputError(
            f"The base weights {path} cannot be read ({error.strerror}); give"
            f" `{IMAGENET}`, `{NO_WEIGHTS}` or the path of an .h5 file."
        ) from error
    if magic != _HDF5_MAGIC:
        raise InputError(
            f"The base weights {path} are not an HDF5 file; give the MobileNetV2 weights"
            " without top, as Keras publishes them."
        )


def _check_imagenet(config: PipelineConfig, url: str) -> None:
    if config.alpha not in ALPHAS:
        published = ", ".join(str(alpha) for alpha in ALPHAS)
        raise InputError(
            f"ImageNet weights are published for alpha {published}, not for {config.alpha};"
            f" change alpha or train without base weights (--base-weights {NO_WEIGHTS})."
        )
    size = config.image_size if config.image_size in SIZES else FALLBACK_SIZE
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(config.alpha)}_{size}_no_top.h5"
    if _is_cached(name) or _reachable(url + name):
        return
    raise InputError(
        "The ImageNet weights cannot be downloaded. Fetch the file"
        f" {url}{name} where there is a network, and pass it with --base-weights {name}"
        f" (make run: WEIGHTS={name})."
    )


def _is_cached(name: str) -> bool:
    """Whether Keras will find a file, which it or another project has downloaded."""
    home = Path(processes.environment()["KERAS_HOME"])
    own, users = home / "models" / name, home.parent / "models" / name
    if not own.exists() and users.is_file():
        with suppress(OSError):  # then Keras downloads it to another place
            own.parent.mkdir(parents=True, exist_ok=True)
            own.symlink_to(users)
    return own.is_file()


def _reachable(url: str) -> bool:
    """Requests the headers of a file, in a thread because name lookups have no timeout."""
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (a constant URL)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
                answered.set()
        except OSError:  # no route, no name, refused, too slow, or an HTTP error
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_TIMEOUT)
    return answered.is_set()
