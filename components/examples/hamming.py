"""Pairs of 64-bit hashes that differ in few bits, without comparing all with all."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

BITS: Final = 64
# Pairs that are compared at once: few enough to stay in a processor's cache.
CHUNK: Final = 2**18

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def close_pairs(hashes: Hashes, most: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Finds the pairs of hashes within a Hamming distance. None is missed.

    Of `most` + 1 bands of bits, two such hashes agree in at least one (the pigeonhole
    principle), so only hashes that share a band are compared.

    Args:
      hashes: [images], uint64; equal ones are pairs of distance 0.
      most: largest number of bits that differ, less than 64.

    Yields:
      Positions of the one and the other hash and their distance, a bounded number of
      pairs at once, each pair once.
    """
    edges = np.linspace(0, BITS, most + 2).round().astype(int).tolist()
    masks = [np.uint64((1 << high) - (1 << low)) for low, high in pairwise(edges)]
    for number, mask in enumerate(masks):
        for left, right in _sharing(hashes & mask):
            differing = hashes[left] ^ hashes[right]
            distance = _bit_count(differing)
            near = distance <= most
            # A pair that shares an earlier band was yielded there.
            for earlier in masks[:number]:
                near[near] = (differing[near] & earlier) != 0
            yield left[near], right[near], distance[near]


def _bit_count(words: Hashes) -> Ints:
    """Counts the set bits; Warren, "Hacker's Delight", 2nd edition, figure 5-2."""
    pairs = words - ((words >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = np.uint64(0x3333333333333333)
    nibbles = (pairs & fours) + ((pairs >> np.uint64(2)) & fours)
    octets = (nibbles + (nibbles >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((octets * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def _sharing(band: Hashes) -> Iterator[tuple[Ints, Ints]]:
    """Yields the pairs of positions with equal values, about `CHUNK` at once."""
    order = np.argsort(band, kind="stable")
    _, group = np.unique(band[order], return_inverse=True)
    ends = np.searchsorted(group, group, side="right")
    # Each position is paired with those after it in its group.
    partners = ends - np.arange(len(band)) - 1
    for part in _chunks(partners):
        counts = partners[part]
        left = np.repeat(np.arange(part.start, part.stop), counts)
        # Numbers the partners of each position from 0: counts of 2 and 3 give 0 1 0 1 2.
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield order[left], order[left + 1 + number]


def _chunks(sizes: Ints) -> Iterator[slice]:
    """Cuts sizes into runs that add up to at most `CHUNK`; a larger one is a run of its own."""
    start, before = 0, np.concatenate([[0], np.cumsum(sizes)])
    while start < len(sizes):
        stop = int(np.searchsorted(before, before[start] + CHUNK, side="right")) - 1
        stop = max(start + 1, stop)
        yield slice(start, stop)
        start = stop
