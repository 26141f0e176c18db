"""Pictures of different clips that look the same, by their perceptual hashes.

Frames of one clip are alike by nature and are no finding. Two clips alike may be one
recording delivered twice; across splits, the model is then examined on what it learned.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from components.examples import parquet
from pipeline.review import hamming
from pipeline.review.contents import NearDuplicate
from schema import features

# Measured on 597 photos in 147 clips of two public data sets, the hashes being those of
# `components.ingest.images`. Of 200 copies each: recompressed at quality 60, at half size
# or not, all are within 2 bits; a fifth brighter, within 6; cropped by 2 % on each side, a
# sixth brighter and recompressed, 84 % are within 6 and 99 % within 8. Frames of one clip
# are 6 bits apart in the median, frames of two clips 30. Of pairs of two clips within 8, 23 were
# looked at: each shows one room, or two much alike, from nearly the same place.
DISTANCE: Final = 8
MOST_SHOWN: Final = 100

Ints = npt.NDArray[np.int64]


def near_duplicates(images: pd.DataFrame) -> tuple[list[NearDuplicate], int, int]:
    """Finds pairs of images of different clips within `DISTANCE` bits. None is missed.

    Args:
      images: a row an image, with the columns of `components.examples.parquet.IMAGES`.

    Returns:
      For at most `MOST_SHOWN` pairs of clips the nearest pair of images, those across
      splits that matter first, then the nearest; how many pairs of images there are in
      all; and how many of these cross splits that matter.
    """
    rows = images.dropna(subset=[features.PERCEPTUAL_HASH, features.CLIP, features.FILE_NAME])
    rows = rows.sort_values([features.TRANCHE, features.FILE_NAME], ignore_index=True)
    values = np.array([int(text, 16) for text in rows[features.PERCEPTUAL_HASH]], np.uint64)
    hashes, which = np.unique(values, return_inverse=True)
    total, across = _Between(rows, which, clips_only=True), _Between(rows, which, clips_only=False)
    shortlist = _Shortlist(rows, which)

    same = np.arange(len(hashes))
    shortlist.add(same, same, np.zeros(len(hashes), np.int64))
    # Within one hash each pair is met from both of its ends.
    count, crossing = total.count(same, same) // 2, across.count(same, same) // 2
    for left, right, distance in hamming.close_pairs(hashes, DISTANCE):
        count += total.count(left, right)
        crossing += across.count(left, right)
        shortlist.add(left, right, distance)
    return shortlist.pairs(), count, crossing


class _Between:
    """Counts pairs of images of different clips, given pairs of hashes.

    Thousands of images may share a hash (a covered lens), so pairs of images are
    counted and never made: pairs that differ in clip and split are all pairs, less
    those that share either, plus those that share both.

    Args:
      rows: the images.
      which: position of each image's hash.
      clips_only: whether splits do not matter.
    """

    def __init__(self, rows: pd.DataFrame, which: Ints, *, clips_only: bool) -> None:
        counted = rows if clips_only else rows[rows[parquet.SPLIT] != features.UNSELECTED]
        signed: list[tuple[list[str], int]] = [([], 1), ([features.CLIP], -1)]
        if not clips_only:
            signed += [([parquet.SPLIT], -1), ([features.CLIP, parquet.SPLIT], 1)]
        self._terms = [(_tally(counted, which, keys), sign) for keys, sign in signed]

    def count(self, left: Ints, right: Ints) -> int:
        """Pairs of an image with a hash in `left` and one with its partner in `right`."""
        return sum(
            sign * int(tally[left].multiply(tally[right]).sum()) for tally, sign in self._terms
        )


def _tally(rows: pd.DataFrame, which: Ints, keys: list[str]) -> Any:
    """Images by hash and by the values of columns, a sparse matrix [hashes, values]."""
    group = rows.groupby(keys).ngroup().to_numpy() if keys else np.zeros(len(rows), np.int64)
    shape = which.max(initial=-1) + 1, group.max(initial=-1) + 1
    cells = which[rows.index.to_numpy()], group
    return sparse.csr_matrix((np.ones(len(rows), np.int64), cells), shape)


class _Shortlist:
    """Keeps the pairs that are shown while all are met.

    Args:
      rows: the images.
      which: position of each image's hash.
    """

    def __init__(self, rows: pd.DataFrame, which: Ints) -> None:
        self._rows = rows
        self._clips = rows[features.CLIP].astype("category").cat.codes.to_numpy()
        self._splits = rows[parquet.SPLIT].to_numpy()
        # One image a clip, and no more clips of a split than can be shown, stand for a hash.
        standing = pd.DataFrame({"hash": which, "clip": self._clips, "split": self._splits})
        standing = standing.drop_duplicates()
        standing = standing[standing.groupby(["hash", "split"]).cumcount() <= MOST_SHOWN]
        self._members = standing.sort_values("hash", kind="stable")["hash"].index.to_numpy()
        self._sizes = np.bincount(standing["hash"])
        self._starts: Ints = np.cumsum(self._sizes) - self._sizes
        self._best = pd.DataFrame(
            {name: np.empty(0, np.int64) for name in ("rank", "one", "other", "clip", "other_clip")}
        )

    def add(self, left: Ints, right: Ints, distance: Ints) -> None:
        """Considers pairs of hashes."""
        hopeful = distance < self._worst()
        left, right, distance = left[hopeful], right[hopeful], distance[hopeful]
        products = self._sizes[left] * self._sizes[right]
        for part in hamming.chunks(products):
            self._add(left[part], right[part], distance[part], products[part])

    def _worst(self) -> float:
        """The rank that a pair has to be below to be shown."""
        return float(self._best["rank"].max()) if len(self._best) == MOST_SHOWN else np.inf

    def _add(self, left: Ints, right: Ints, distance: Ints, products: Ints) -> None:
        pair, rank = np.repeat(np.arange(len(left)), products), hamming.ranks(products)
        row, column = np.divmod(rank, self._sizes[right][pair])
        one = self._members[self._starts[left][pair] + row]
        other = self._members[self._starts[right][pair] + column]
        one, other = np.minimum(one, other), np.maximum(one, other)
        splits, others = self._splits[one], self._splits[other]
        matters = (splits != features.UNSELECTED) & (others != features.UNSELECTED)
        crosses = matters & (splits != others)
        ranks = distance[pair] + np.where(crosses, 0, hamming.BITS + 1)
        kept = (self._clips[one] != self._clips[other]) & (ranks < self._worst())
        if not kept.any():
            return
        one, other = one[kept], other[kept]
        clips = np.sort(np.stack([self._clips[one], self._clips[other]]), axis=0)
        found = pd.DataFrame(
            {
                "rank": ranks[kept],
                "one": one,
                "other": other,
                "clip": clips[0],
                "other_clip": clips[1],
            }
        )
        best = pd.concat([self._best, found]).sort_values(["rank", "one", "other"])
        self._best = best.drop_duplicates(["clip", "other_clip"]).head(MOST_SHOWN)

    def pairs(self) -> list[NearDuplicate]:
        """The pairs that are shown, in order."""
        return [
            NearDuplicate(
                file_names=self._both(features.FILE_NAME, one, other),
                clips=self._both(features.CLIP, one, other),
                tranches=self._both(features.TRANCHE, one, other),
                splits=self._both(parquet.SPLIT, one, other),
                distance=rank % (hamming.BITS + 1),
            )
            for rank, one, other in self._best[["rank", "one", "other"]].to_numpy().tolist()
        ]

    def _both(self, column: str, one: int, other: int) -> tuple[str, str]:
        values = self._rows[column]
        return values[one], values[other]
