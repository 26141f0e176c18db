from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.examples import parquet
from pipeline.review import data_summary
from pipeline.review.data_summary import Data
from schema import features


def images(count: int = 40) -> pd.DataFrame:
    """Two images a clip, tranches 1, 2 and 10, brightness = position."""
    numbers = np.arange(count)
    cells = {
        parquet.SPLIT: np.where(numbers < count // 2, features.TRAIN, features.TEST),
        features.FILE_NAME: [f"{number}.png" for number in numbers],
        features.CLIP: [f"clip {number // 2}" for number in numbers],
        features.TRANCHE: np.array(["10", "2", "1"])[numbers % 3],
        features.WIDTH: numbers + 100,
        features.HEIGHT: 80,
        features.PERCEPTUAL_HASH: [f"{0x123456789ABCDEF * n % 2**64:016x}" for n in numbers],
        **{name: numbers.astype(np.float32) for name in features.MEASURES},
    }
    for column, values in features.LABEL_VALUES.items():
        known = np.array([*values[::-1], features.BLANK], object)
        cells[column] = known[numbers % len(known)]
    return pd.DataFrame(cells).sample(frac=1, random_state=0)


def summarise(table: pd.DataFrame) -> Data:
    # No two images are near-duplicates, so that no thumbnail is read.
    return data_summary.summarise(table, Path("no-such-folder"), [], [])


def test_everything_adds_up():
    table = images()
    data = summarise(table)
    assert (data.images, data.clips) == (40, 20)
    assert data.splits == {"train": 20, "test": 20}
    assert data.clips_by_split == {"train": 10, "test": 10}
    assert data.images_per_clip == {2: 20}
    for tallies in (*data.labels.values(), *data.by_posture.values()):
        assert sum(sum(tally.values()) for tally in tallies.values()) == 40
    assert set(data.labels) == set(features.LABEL_VALUES)
    assert set(data.by_posture) == set(features.LABEL_VALUES) - {features.POSTURE}


def test_rows_and_values_come_in_the_order_people_expect():
    data = summarise(images())
    assert list(data.labels[features.HOW_MANY]) == ["1", "2", "10"]
    assert list(data.by_posture[features.HOW_MANY]) == [
        "None", "One", "Two", "Three", features.BLANK,
    ]  # fmt: skip


def test_counts_are_those_of_the_rows():
    table = images()
    data = summarise(table)
    lying = (table[features.POSTURE] == "Lying") & (table[features.TRANCHE] == "2")
    assert data.labels[features.POSTURE]["2"]["Lying"] == lying.sum()
    both = (table[features.POSTURE] == "Lying") & (table[features.OCCLUDED] == "Yes")
    assert data.by_posture[features.OCCLUDED].get("Yes", {}).get("Lying", 0) == both.sum()


def test_quantiles_are_those_of_the_tranche():
    table = images()
    found = {(row.measure, row.tranche): row for row in summarise(table).measures}
    values = table.loc[table[features.TRANCHE] == "10", features.BRIGHTNESS]
    row = found[features.BRIGHTNESS, "10"]
    assert (row.low, row.lower, row.median, row.upper, row.high) == pytest.approx(
        np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    )
    assert len(found) == 3 * (2 + len(features.MEASURES))


def test_data_that_lack_columns_values_or_rows_are_summarised_too():
    table = images()
    for column in (features.POSTURE, features.TRANCHE, features.PERCEPTUAL_HASH):
        table[column] = None
    table[features.BRIGHTNESS] = np.nan
    data = summarise(table)
    assert data.labels[features.POSTURE] == {features.BLANK: {features.BLANK: 40}}
    assert features.BRIGHTNESS not in {row.measure for row in data.measures}
    nothing = summarise(images().iloc[:0])
    assert (nothing.images, nothing.clips, nothing.measures) == (0, 0, [])
