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


def test_keras_own_cache_is_enough(tmp_path: Path) -> None:
    cached = tmp_path / "keras" / "models" / NAME
    cached.parent.mkdir(parents=True)
    cached.touch()
    base_weights.check(settings(), url=UNREACHABLE)
    # Keras takes the weights for 224 at sizes that have none of their own.
    base_weights.check(settings(image_size=300), url=UNREACHABLE)
    with pytest.raises(InputError, match=r"1\.0_160_no_top"):
        base_weights.check(settings(image_size=160), url=UNREACHABLE)


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
