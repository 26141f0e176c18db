"""Base weights that cannot be had are refused before anything heavy starts."""

import socket
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline import config
from pipeline.process import base_weights

# Nothing listens on the discard port; a test must not depend on a network.
UNREACHABLE = "http://127.0.0.1:9/"
NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"


@pytest.fixture(autouse=True)
def _empty_keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def settings(**values: object) -> config.PipelineConfig:
    return config.load(None, data_root="/data", **values)


def test_no_weights_need_nothing() -> None:
    base_weights.check(settings(base_weights="none"), url=UNREACHABLE)


def test_without_network_the_file_and_the_flag_are_named() -> None:
    with pytest.raises(InputError) as caught:
        base_weights.check(settings(), url=UNREACHABLE)
    assert UNREACHABLE + NAME in str(caught.value)
    assert f"--base-weights {NAME}" in str(caught.value)
    assert f"WEIGHTS={NAME}" in str(caught.value)


def test_a_host_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_weights, "_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(InputError):
        base_weights.check(settings(), url=f"http://127.0.0.1:{silent.getsockname()[1]}/")


def test_keras_own_cache_is_enough(tmp_path: Path, shared_data: Path) -> None:
    cached = tmp_path / "keras" / "models" / NAME
    cached.parent.mkdir(parents=True)
    cached.symlink_to(shared_data / "weights" / "mobilenet_v2_1.0_224_no_top.float.h5")
    base_weights.check(settings(), url=UNREACHABLE)
    # Keras takes the weights for 224 at sizes that have none of their own.
    base_weights.check(settings(image_size=300), url=UNREACHABLE)
    with pytest.raises(InputError, match=r"1\.0_160_no_top"):
        base_weights.check(settings(image_size=160), url=UNREACHABLE)
    # A download that was killed leaves a part of the file, which Keras takes for the whole.
    part = cached.read_bytes()[:3_000_000]
    cached.unlink()
    cached.write_bytes(part)
    with pytest.raises(InputError, match=r"is cut .*; delete it, and Keras fetches it again"):
        base_weights.check(settings(), url=UNREACHABLE)


def test_the_names_are_those_that_keras_uses() -> None:
    """Fails if Keras moves its weights, changes their names, or publishes others."""
    import inspect

    from keras.src.applications import mobilenet_v2

    assert mobilenet_v2.BASE_WEIGHT_PATH == base_weights.KERAS_URL
    source = inspect.getsource(mobilenet_v2.MobileNetV2)
    assert '"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_"' in source
    assert 'f"{float(alpha)}_{rows}_no_top.h5"' in source
    assert "[0.35, 0.50, 0.75, 1.0, 1.3, 1.4]" in source
    assert str(list(base_weights.SIZES)) in source


def test_an_unpublished_width_is_refused() -> None:
    with pytest.raises(InputError, match=r"0\.35, 0\.5, .* not for 0\.6"):
        base_weights.check(settings(alpha=0.6), url=UNREACHABLE)


def test_a_file_has_to_be_there_and_hdf5(tmp_path: Path, shared_data: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        base_weights.check(settings(base_weights=str(tmp_path / "w.h5")))
    (tmp_path / "w.h5").write_text("<html>not found</html>")
    with pytest.raises(InputError, match="not an HDF5 file"):
        base_weights.check(settings(base_weights=str(tmp_path / "w.h5")))
    real = shared_data / "weights" / "mobilenet_v2_1.0_224_no_top.dequantised.h5"
    base_weights.check(settings(base_weights=str(real)))
    # Of the right size, but not filled to its end.
    hollow = real.read_bytes()[:3_000_000].ljust(real.stat().st_size, b"\0")
    (tmp_path / "w.h5").write_bytes(hollow)
    with pytest.raises(InputError, match=r"is damaged"):
        base_weights.check(settings(base_weights=str(tmp_path / "w.h5")))
    for share in range(1, 20):
        (tmp_path / "w.h5").write_bytes(real.read_bytes()[: real.stat().st_size * share // 20])
        with pytest.raises(InputError, match=r"is cut \([0-9,]+ of 9,407,360 bytes\)"):
            base_weights.check(settings(base_weights=str(tmp_path / "w.h5")))


def saved(network: str, alpha: float, top: bool, folder: Path) -> tuple[Path, Path]:
    """A network's weights and the network, in the two layouts that Keras writes."""
    import keras

    build = getattr(keras.applications, network)
    model = build(alpha=alpha, include_top=top, weights=None, input_shape=(32, 32, 3), classes=5)
    places = folder / f"{network}{alpha}{top}.weights.h5", folder / f"{network}{alpha}{top}.h5"
    model.save_weights(places[0])
    model.save(places[1])
    for place in places:
        model.load_weights(place)  # as `keras.applications` does
    return places


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("saved")
    kinds = [("MobileNetV2", False), ("MobileNetV2", True), ("MobileNet", False)]
    return {kind: saved(kind[0], 0.5, kind[1], folder) for kind in kinds}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("network", "top", "wanted", "said"),
    [
        ("MobileNetV2", False, 0.5, ""),
        ("MobileNetV2", False, 0.35, "is for alpha 0.5, and the settings say 0.35;"),
        ("MobileNetV2", False, 0.6, "is for alpha 0.5, and the settings say 0.6;"),
        ("MobileNetV2", True, 0.5, " has a top;"),
        ("MobileNetV2", True, 0.75, "is for alpha 0.5, and the settings say 0.75 and has a top;"),
        ("MobileNet", False, 0.5, "is for another network than MobileNetV2;"),
    ],
)
def test_what_keras_saved_is_taken_or_called_what_it_is(
    files: dict[tuple[str, bool], tuple[Path, Path]],
    network: str,
    top: bool,
    wanted: float,
    said: str,
) -> None:
    for path in files[network, top]:
        if not said:
            base_weights.check(settings(base_weights=str(path), alpha=wanted))
            continue
        with pytest.raises(InputError, match=said) as caught:
            base_weights.check(settings(base_weights=str(path), alpha=wanted))
        assert "\n" not in str(caught.value)


def test_a_name_that_keras_goes_by(
    files: dict[tuple[str, bool], tuple[Path, Path]], tmp_path: Path
) -> None:
    for path, names in zip(
        files["MobileNetV2", False], (("a.h5", "a.hdf5", "a.keras"), ("a.weights.h5", "a.H5")),
        strict=True,
    ):  # fmt: skip
        for name in names:
            (tmp_path / name).unlink(missing_ok=True)
            (tmp_path / name).symlink_to(path)
            with pytest.raises(InputError, match="has to have a name that ends in"):
                base_weights.check(settings(base_weights=str(tmp_path / name), alpha=0.5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("alpha", [0.1, 0.35, 0.6, 1.0, 1.3, 1.4])
def test_every_width_is_known(tmp_path: Path, alpha: float) -> None:
    for path in saved("MobileNetV2", alpha, False, tmp_path):
        base_weights.check(settings(base_weights=str(path), alpha=alpha))


OTHERS = {
    "is an HTML page, such as a sign-in page, not": b"<!doctype html><html>Sign in</html>",
    "is a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "is a zip, not": b"PK\x03\x04" + bytes(99),
    r"is a Keras model \(\.keras\), not": b"PK\x03\x04" + b"metadata.json".rjust(39),
    r"is a NumPy archive \(\.npz\), not": b"PK\x03\x04" + b"kernel.npy".rjust(36),
    "is a PyTorch file, not": b"PK\x03\x04" + b"archive/data.pkl".rjust(42),
    "is a file of zeros": bytes(9999),
    "is not an HDF5 file": b"",
    "is damaged": b"\x89HDF\r\n\x1a\n" + bytes(999),
}


@pytest.mark.parametrize("said", OTHERS)
def test_another_file_is_called_what_it_is(tmp_path: Path, said: str) -> None:
    (tmp_path / "w.h5").write_bytes(OTHERS[said])
    with pytest.raises(InputError, match=said):
        base_weights.check(settings(base_weights=str(tmp_path / "w.h5")))
