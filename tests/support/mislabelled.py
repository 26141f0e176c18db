"""Labels of training clips that somebody got wrong; the test clips keep theirs."""

from pathlib import Path

from components.examples.example_gen import split_of_clip
from pipeline.config import SplitShares
from schema import features


def mislabel_lying(table: Path, answer: str, shares: SplitShares) -> int:
    """Turns each Lying of the training clips of a tranche into another posture.

    Args:
      table: the tranche's label table, written anew; image names are in its first column.
      answer: the other posture.
      shares: of the splits.

    Returns:
      How many rows were changed.
    """
    names, buckets = zip(*shares.model_dump().items(), strict=True)
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    changed = 0
    for at, line in enumerate(lines):
        clip = line.partition("_cat-1_")[0].encode()
        is_train = names[split_of_clip(clip, buckets)] == features.TRAIN
        if is_train and f",{features.LYING}," in line:
            lines[at] = line.replace(f",{features.LYING},", f",{answer},")
            changed += 1
    table.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return changed
