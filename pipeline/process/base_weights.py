"""Checks that the base weights can be used, before anything expensive starts."""

import re
import threading
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from components import processes
from components.errors import InputError
from components.first_bytes import kind_of
from pipeline.config import IMAGENET, NO_WEIGHTS, PipelineConfig

# Where Keras downloads them from, and what it publishes (keras.applications.MobileNetV2).
KERAS_URL: Final = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
ALPHAS: Final = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
SIZES: Final = (96, 128, 160, 192, 224)
FALLBACK_SIZE: Final = 224  # what Keras loads for any other size

_TIMEOUT: Final = 4.0  # seconds
_CUT: Final = re.compile(r"eof = ([0-9]+),.*stored_eof = ([0-9]+)")  # in HDF5's message

# MobileNetV2's blocks: expansion and channels (Sandler et al. 2018, table 2).
_BLOCKS: Final = (
    (1, 16),
    *[(6, 24)] * 2,
    *[(6, 32)] * 3,
    *[(6, 64)] * 4,
    *[(6, 96)] * 3,
    *[(6, 160)] * 3,
    (6, 320),
)


def check(config: PipelineConfig, *, url: str = KERAS_URL) -> None:
    """Makes sure that training will find its base weights.

    Args:
      config: the settings of the run.
      url: folder that Keras downloads from.

    Raises:
      InputError: the given file does not exist, or is not what Keras can load into MobileNetV2
        with `alpha` and without top; there are no published weights for `alpha`; or they are
        neither in Keras's cache nor downloadable.
    """
    if config.base_weights == NO_WEIGHTS:
        return
    if config.base_weights == IMAGENET:
        _check_imagenet(config, url)
    else:
        _check_file(Path(config.base_weights), config.alpha, "give another file, or fetch it again")


def _check_file(path: Path, alpha: float, remedy: str) -> None:
    try:
        what = kind_of(path)
        if what == "an HDF5 file":
            problem = _problem(path, alpha)
        else:
            problem = f"is {what}, not an HDF5 file" if what else "is not an HDF5 file"
    except OSError as error:
        raise InputError(
            f"The base weights {path} cannot be read ({error.strerror}); give"
            f" `{IMAGENET}`, `{NO_WEIGHTS}` or the path of an .h5 file."
        ) from error
    if problem:
        raise InputError(
            f"The file of base weights {path} {problem}; {remedy}: MobileNetV2 for alpha {alpha},"
            " without top, as Keras publishes it."
        )


def _problem(path: Path, alpha: float) -> str:
    """Says why Keras could not load an HDF5 file; empty if it can."""
    import h5py  # not above: few commands need it

    weights: list[h5py.Dataset] = []

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            weights.append(item)

    try:
        with h5py.File(path) as file:
            whole_model = "layer_names" not in file.attrs and "model_weights" in file
            root = file["model_weights"] if whole_model else file
            first_layout = "layer_names" in root.attrs
            root.visititems(keep)
            if unfit := _unfit(Counter(each.shape for each in weights), alpha):
                return unfit
            # What a download did not fill is zero; no trained kernel is.
            if any(each.ndim > 1 and not each[()].any() for each in weights):
                return "is damaged (some of its kernels have only zeros)"
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if cut := _CUT.search(str(error)):
            return f"is cut ({int(cut[1]):,} of {int(cut[2]):,} bytes)"
        return f"is damaged ({error})"
    # Keras tells its two layouts apart by the name alone.
    if path.suffix not in (".h5", ".hdf5") or path.name.endswith(".weights.h5") == first_layout:
        ending = ".h5, but not in .weights.h5" if first_layout else ".weights.h5"
        return f"has to have a name that ends in {ending}, because Keras goes by it"
    return ""


def _unfit(shapes: Counter[tuple[int, ...]], alpha: float) -> str:
    """Says which network weights of these shapes are for; empty if it is the right one."""
    wanted = _shapes(alpha)
    if shapes == wanted:
        return ""
    for other in (alpha, *ALPHAS):
        if _shapes(other) <= shapes:
            top = "has a top" if _shapes(other) != shapes else ""
            width = f"is for alpha {other}, and the settings say {alpha}" if other != alpha else ""
            return " and ".join(filter(None, [width, top]))
    return "is for another network than MobileNetV2"


def _shapes(alpha: float) -> Counter[tuple[int, ...]]:
    """Counts the shapes of MobileNetV2's weights without top, as `keras.applications` builds it."""

    def width(channels: float) -> int:
        """Rounds to a multiple of 8 that is less than a tenth below."""
        rounded = max(8, int(channels + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * channels else rounded + 8

    channels = width(32 * alpha)
    kernels: list[tuple[int, ...]] = [(3, 3, 3, channels)]
    normed = [channels]
    for expansion, filters in _BLOCKS:
        wide = expansion * channels
        if expansion > 1:
            kernels.append((1, 1, channels, wide))
            normed.append(wide)
        channels = width(int(filters * alpha))
        kernels += [(3, 3, wide, 1), (1, 1, wide, channels)]
        normed += [wide, channels]
    last = width(1280 * max(1.0, alpha))
    kernels.append((1, 1, channels, last))
    # Batch norm has a scale, an offset, a mean and a variance.
    return Counter([*kernels, *[(each,) for each in (*normed, last)] * 4])


def _check_imagenet(config: PipelineConfig, url: str) -> None:
    if config.alpha not in ALPHAS:
        published = ", ".join(str(alpha) for alpha in ALPHAS)
        raise InputError(
            f"ImageNet weights are published for alpha {published}, not for {config.alpha};"
            f" change alpha or train without base weights (--base-weights {NO_WEIGHTS})."
        )
    size = config.image_size if config.image_size in SIZES else FALLBACK_SIZE
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(config.alpha)}_{size}_no_top.h5"
    cached = _cached(name)
    if cached.is_file():
        _check_file(cached, config.alpha, "delete it, and Keras fetches it again")
        return
    if _reachable(url + name):
        return
    raise InputError(
        "The ImageNet weights cannot be downloaded. Fetch the file"
        f" {url}{name} where there is a network, and pass it with --base-weights {name}"
        f" (make run: WEIGHTS={name})."
    )


def _cached(name: str) -> Path:
    """Where Keras keeps a file, if it or another project has downloaded it."""
    home = Path(processes.environment()["KERAS_HOME"])
    own, users = home / "models" / name, home.parent / "models" / name
    if not own.exists() and users.is_file():
        with suppress(OSError):  # then Keras downloads it to another place
            own.parent.mkdir(parents=True, exist_ok=True)
            own.symlink_to(users)
    return own


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
