"""The near-duplicates as the page shows them, with thumbnails."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components.examples import near_duplicates
from components.examples.near_duplicates import NearDuplicate
from pipeline.review import stored_images


@dataclass(frozen=True)
class PairedImage(near_duplicates.PairedImage):
    """One image of a pair.

    Attributes:
      thumbnail: JPEG bytes; None if the image is gone.
    """

    thumbnail: bytes | None


def with_thumbnails(pairs: Sequence[NearDuplicate], examples: Path) -> list[NearDuplicate]:
    """Adds the thumbnails, in one pass over the splits that the images are in.

    Args:
      pairs: from `near_duplicates.near_duplicates`; their images become `PairedImage`s.
      examples: folder of the ExampleGen's output.
    """
    wanted: dict[str, set[stored_images.Key]] = {}
    for image in _members(pairs):
        wanted.setdefault(image.split, set()).add((image.tranche, image.file_name))
    thumbnails = {
        (split, *key): stored_images.encode(stored_images.thumbnail(jpeg))
        for split, keys in wanted.items()
        for key, jpeg in stored_images.read(examples / f"Split-{split}", keys)
    }

    def shown(image: near_duplicates.PairedImage) -> PairedImage:
        key = image.split, image.tranche, image.file_name
        return PairedImage(**asdict(image), thumbnail=thumbnails.get(key))

    return [replace(pair, images=(shown(pair.images[0]), shown(pair.images[1]))) for pair in pairs]


def _members(pairs: Sequence[NearDuplicate]) -> Iterator[near_duplicates.PairedImage]:
    return (image for pair in pairs for image in pair.images)
