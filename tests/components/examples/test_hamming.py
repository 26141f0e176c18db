import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.examples import hamming

HASHES = st.integers(0, 2**64 - 1)


@st.composite
def clusters(draw):
    """Hashes of which many are near each other."""
    found = set()
    for centre in draw(st.lists(HASHES, max_size=4)):
        for flips in draw(st.lists(st.sets(st.integers(0, 63), max_size=8), max_size=8)):
            found.add(centre ^ sum(1 << bit for bit in flips))
    return draw(st.permutations(sorted(found)))


@pytest.mark.parametrize("chunk", [hamming.CHUNK, 3])
@pytest.mark.parametrize("most", [0, 4, 8, 21])
@given(hashes=clusters())
def test_finds_each_pair_once_as_comparing_all_with_all_does(chunk, most, hashes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "CHUNK", chunk)
        found = [
            (min(pair), max(pair), distance)
            for left, right, distances in hamming.close_pairs(np.array(hashes, np.uint64), most)
            for *pair, distance in zip(
                left.tolist(), right.tolist(), distances.tolist(), strict=True
            )
        ]
    expected = [
        (i, j, (hashes[i] ^ hashes[j]).bit_count())
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if (hashes[i] ^ hashes[j]).bit_count() <= most
    ]
    assert sorted(found) == expected


def test_never_makes_many_more_pairs_at_once_than_a_chunk():
    hashes = np.arange(4096, dtype=np.uint64)  # all share their upper bands
    chunks = [len(left) for left, _ in hamming._sharing(hashes >> np.uint64(32))]
    assert sum(chunks) == 4096 * 4095 // 2
    assert max(chunks) <= hamming.CHUNK
