"""Images of different clips that look the same, by their perceptual hashes.

Frames of one clip are alike by nature and are no finding. Two clips alike may be one
recording delivered twice. Across splits, the model would then be tested on what it was
trained on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.examples import hamming, parquet
from components.examples.findings import Finding
from schema import features

# Measured on 597 photos in 147 clips of two public data sets, with the hashes of
# `components.ingest.images`. Of 200 copies each: recompressed at quality 60, at half size
# or not, all are within 2 bits; a fifth brighter, within 6; cropped by 2 % on each side, a
# sixth brighter and recompressed, 84 % are within 6 and 99 % within 8. Frames of one clip
# are 6 bits apart in the median, frames of two clips 30. 23 pairs of two clips within 8 bits
# were looked at: each shows one room, or two similar ones, from nearly the same place.
DISTANCE: Final = 8
# What recompression and scaling change, and little else.
COPY_DISTANCE: Final = 2
MOST: Final = 100  # pairs that are told of

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairedImage:
    """One image of a pair.

    Attributes:
      file_name: its name, as in the label table.
      clip: its clip.
      tranche: its tranche.
      split: the split that it is in, or `unselected`.
      posture: its label.
    """

    file_name: str
    clip: str
    tranche: str
    split: str
    posture: str


@dataclass(frozen=True)
class NearDuplicate:
    """Two images of different clips that look the same.

    Attributes:
      images: both.
      distance: differing bits of their 64-bit perceptual hashes.
    """

    images: tuple[PairedImage, PairedImage]
    distance: int

    @property
    def crosses_splits(self) -> bool:
        """Whether the model may be trained on one of them and judged on the other."""
        one, other = (image.split for image in self.images)
        return one != other and features.UNSELECTED not in (one, other)


def near_duplicates(images: pd.DataFrame, distance: int = DISTANCE) -> list[NearDuplicate]:
    """Finds pairs of clips with images within a distance of each other.

    Args:
      images: a row an image, with the columns of `parquet.IMAGES`.
      distance: differing bits of their hashes, at most.

    Returns:
      The nearest pair of images of each pair of clips, pairs across splits first, then the nearest.
      At most `MOST` are returned; none that ranks higher is missed.
    """
    rows = _representatives(images)
    clips = rows[features.CLIP].astype("category").cat.codes.to_numpy()
    splits = rows[parquet.SPLIT].to_numpy()
    hashes = np.array([int(text, 16) for text in rows[features.PERCEPTUAL_HASH]], np.uint64)
    columns = ["rank", "one", "other", "clip", "other_clip"]
    best = pd.DataFrame(columns=columns, dtype=np.int64)
    for left, right, differing in hamming.close_pairs(hashes, distance):
        one, other = np.minimum(left, right), np.maximum(left, right)
        selected = (splits[one] != features.UNSELECTED) & (splits[other] != features.UNSELECTED)
        crosses = selected & (splits[one] != splits[other])
        rank = differing + np.where(crosses, 0, hamming.BITS)
        worst = best["rank"].max() if len(best) == MOST else np.inf
        kept = (clips[one] != clips[other]) & (rank < worst)
        if not kept.any():
            continue
        one, other = one[kept], other[kept]
        pairs = np.sort(np.stack([clips[one], clips[other]]), axis=0)
        found = pd.DataFrame(np.stack([rank[kept], one, other, *pairs], axis=1), columns=columns)
        best = pd.concat([best, found]).sort_values(columns[:3])
        best = best.drop_duplicates(columns[3:]).head(MOST)
    return [
        NearDuplicate((_image(rows, one), _image(rows, other)), rank % hamming.BITS)
        for rank, one, other in best[columns[:3]].to_numpy().tolist()
    ]


def copy_findings(images: pd.DataFrame) -> list[Finding]:
    """Warns of copies of which one is in train, eval or test, and the other in another of them.

    Args:
      images: as for `near_duplicates`.
    """
    pairs = [pair for pair in near_duplicates(images, COPY_DISTANCE) if pair.crosses_splits]
    if not pairs:
        return []
    count = f"{len(pairs)} {'or more ' if len(pairs) == MOST else ''}pairs of clips"
    one, other = pairs[0].images
    return [
        Finding(
            "warning",
            f"{'Two clips' if len(pairs) == 1 else count} in different splits have images that look"
            f" the same, such as {one.file_name} in {one.split} and {other.file_name} in"
            f" {other.split}. If they are copies, the model is judged on what it was trained on,"
            " and is less accurate than it seems: look at the near-duplicates on the review page,"
            " and leave one of each pair out.",
        )
    ]


def _representatives(images: pd.DataFrame) -> pd.DataFrame:
    """One image for each clip with a hash, and for each hash no more clips than can be shown.

    Thousands of images may have the same hash, for example when a lens is covered.
    """
    rows = images.dropna(subset=[features.PERCEPTUAL_HASH, features.CLIP, features.FILE_NAME])
    rows = rows.sort_values([features.TRANCHE, features.FILE_NAME], ignore_index=True)
    by_split = [features.PERCEPTUAL_HASH, parquet.SPLIT]
    rows = rows.drop_duplicates([*by_split, features.CLIP])
    return rows[rows.groupby(by_split).cumcount() <= MOST].reset_index(drop=True)


def _image(rows: pd.DataFrame, position: int) -> PairedImage:
    row = rows.iloc[position]
    return PairedImage(
        file_name=row[features.FILE_NAME],
        clip=row[features.CLIP],
        tranche=row[features.TRANCHE],
        split=row[parquet.SPLIT],
        posture=row[features.POSTURE],
    )
