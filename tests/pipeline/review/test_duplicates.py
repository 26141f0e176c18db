import io
import itertools

import pandas as pd
from PIL import Image

from components.examples.near_duplicates import NearDuplicate, PairedImage
from pipeline.review import duplicates
from schema import features
from tests.pipeline.review import stored


def pairs(*splits: str) -> list[NearDuplicate]:
    """Each image with the one after it; all have the same name."""
    images = [
        PairedImage("same name.png", f"clip {place}", "1", split, "Lying")
        for place, split in enumerate(splits)
    ]
    return [NearDuplicate(pair, 1) for pair in itertools.pairwise(images)]


def test_each_image_of_a_pair_has_its_own_thumbnail(tmp_path):
    shades = {features.TRAIN: 40, features.TEST: 120, features.UNSELECTED: 200}
    table = pd.DataFrame([{features.TRANCHE: "1", features.FILE_NAME: "same name.png"}])
    for split, shade in shades.items():
        stored.write_split(tmp_path / f"Split-{split}", table, [shade])
    shown = duplicates.with_thumbnails(pairs(*shades), tmp_path)
    assert len(shown) == 2
    for image in (image for pair in shown for image in pair.images):
        picture = Image.open(io.BytesIO(image.thumbnail))
        assert picture.size == (160, 90)
        assert abs(picture.convert("L").getpixel((80, 45)) - shades[image.split]) <= 2


def test_an_image_that_is_gone_has_no_thumbnail(tmp_path):
    (pair,) = duplicates.with_thumbnails(pairs(features.TRAIN, features.TRAIN), tmp_path)
    assert [image.thumbnail for image in pair.images] == [None, None]
