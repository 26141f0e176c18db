"""Rows that stay where they are, whatever happens in between."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.training.feature_store import FeatureStore

SHAPE = (2, 3)
VIEWS = 4


def _key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def _rows(*numbers: int) -> np.ndarray:
    """Rows that tell picture and view."""
    views = np.arange(VIEWS)[:, None, None] / 8
    return np.stack([np.full((VIEWS, *SHAPE), number) + views for number in numbers])


@given(
    batches=st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=5), max_size=6),
    reopened=st.booleans(),
)
def test_every_view_of_every_picture_comes_back(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], reopened: bool
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = FeatureStore(folder, VIEWS, SHAPE)
    seen: list[int] = []
    for batch in batches:
        fresh = [n for n in dict.fromkeys(batch) if _key(n) not in store]
        if fresh:
            store.append([_key(n) for n in fresh], _rows(*fresh))
        seen += batch
        if reopened:
            store = FeatureStore(folder, VIEWS, SHAPE)
    views = np.arange(len(seen)) % VIEWS
    found = store.read(store.positions([_key(n) for n in seen]), views)
    assert found.dtype == np.float16 and found.shape == (len(seen), *SHAPE)
    np.testing.assert_array_equal(found[:, 0, 0], np.array(seen) + views / 8)


@pytest.mark.parametrize("lost", [1, 33])
def test_what_a_killed_run_left_half_written_is_overwritten(tmp_path: Path, lost: int) -> None:
    store = FeatureStore(tmp_path, VIEWS, SHAPE)
    store.append([_key(1), _key(2)], _rows(1, 2))
    keys = tmp_path / "keys"
    keys.write_bytes(keys.read_bytes()[:-lost])
    store = FeatureStore(tmp_path, VIEWS, SHAPE)
    known = 2 - -(-lost // 32)
    assert [_key(n) in store for n in (1, 2)] == [n <= known for n in (1, 2)]
    again = [n for n in (1, 2) if n > known] + [3]
    store.append([_key(n) for n in again], _rows(*again))
    store = FeatureStore(tmp_path, VIEWS, SHAPE)
    positions = store.positions([_key(n) for n in (3, 2, 1)])
    assert store.read(positions, np.zeros(3, np.int64))[:, 0, 0].tolist() == [3, 2, 1]


def test_a_picture_that_is_not_there_is_no_row(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        FeatureStore(tmp_path, VIEWS, SHAPE).positions([_key(1)])
