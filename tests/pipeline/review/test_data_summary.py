import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.examples import parquet
from components.ingest.master import CONTRADICTIONS, REPORT_COLUMNS, build_master
from components.ingest.staging import REJECT_COLUMNS
from pipeline.review.contents import Contradiction, Reject
from pipeline.review.data_summary import read_contradictions, read_rejects, summarise
from schema import features

# Ingestion leaves a bare carriage return unquoted, so that it ends a row.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))


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


def test_everything_adds_up():
    table = images()
    data = summarise(table, [], [])
    assert (data.images, data.clips) == (40, 20)
    assert data.splits == {"train": 20, "test": 20}
    assert data.clips_by_split == {"train": 10, "test": 10}
    assert data.images_per_clip == {2: 20}
    for tallies in (*data.labels.values(), *data.by_posture.values()):
        assert sum(sum(tally.values()) for tally in tallies.values()) == 40
    assert set(data.labels) == set(features.LABEL_VALUES)
    assert set(data.by_posture) == set(features.LABEL_VALUES) - {features.POSTURE}


def test_rows_and_values_come_in_the_order_people_expect():
    data = summarise(images(), [], [])
    assert list(data.labels[features.HOW_MANY]) == ["1", "2", "10"]
    assert list(data.by_posture[features.HOW_MANY]) == [
        "None", "One", "Two", "Three", features.BLANK,
    ]  # fmt: skip


def test_counts_are_those_of_the_rows():
    table = images()
    data = summarise(table, [], [])
    lying = (table[features.POSTURE] == "Lying") & (table[features.TRANCHE] == "2")
    assert data.labels[features.POSTURE]["2"]["Lying"] == lying.sum()
    both = (table[features.POSTURE] == "Lying") & (table[features.OCCLUDED] == "Yes")
    assert data.by_posture[features.OCCLUDED].get("Yes", {}).get("Lying", 0) == both.sum()


def test_quantiles_are_those_of_the_tranche():
    table = images()
    found = {(row.measure, row.tranche): row for row in summarise(table, [], []).measures}
    values = table.loc[table[features.TRANCHE] == "10", features.BRIGHTNESS]
    row = found[features.BRIGHTNESS, "10"]
    assert (row.low, row.lower, row.median, row.upper, row.high) == pytest.approx(
        np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    )
    assert len(found) == 3 * (2 + len(features.MEASURES))


def test_near_duplicates_are_told():
    table = images()
    table[features.PERCEPTUAL_HASH] = "00000000000000ff"
    data = summarise(table, [], [])
    assert data.duplicate_count == 40 * 38 // 2
    assert data.duplicates_across_splits == 20 * 20
    assert data.duplicates[0].crosses_splits


def test_data_that_lack_columns_values_or_rows_are_summarised_too():
    table = images()
    for column in (features.POSTURE, features.TRANCHE, features.PERCEPTUAL_HASH):
        table[column] = None
    table[features.BRIGHTNESS] = np.nan
    data = summarise(table, [], [])
    assert data.labels[features.POSTURE] == {features.BLANK: {features.BLANK: 40}}
    assert features.BRIGHTNESS not in {row.measure for row in data.measures}
    nothing = summarise(images().iloc[:0], [], [])
    assert (nothing.images, nothing.clips, nothing.measures) == (0, 0, [])


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT)))
def test_reads_back_any_names_and_reasons(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("data")
    (folder / "tfrecords" / "2").mkdir(parents=True)
    with (folder / "tfrecords" / "2" / "rejects.csv").open("w", encoding="utf-8", newline="") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(REJECT_COLUMNS)
        table.writerows(("2", name, f"{name}.png", f"reason {reason}") for name, reason in cells)
    found = read_rejects(folder)
    assert sum(reject.count for reject in found) == len(cells)
    assert {reject.example for reject in found} <= {name for name, _ in cells}


def test_a_row_that_is_cut_off_is_counted(tmp_path):
    (tmp_path / "rejects.csv").write_text("tranche,file_name,table,row,reason\n2,one\rtwo\n")
    assert sum(reject.count for reject in read_rejects(tmp_path)) == 2


def test_reads_what_ingestion_really_writes(tmp_path):
    source = tmp_path / "source"
    (source / "tranch1").mkdir(parents=True)
    name = '=a,"b"é_cat-1_00{}.png'
    rows = [
        (name.format(1), "None", "Lying", "", ""),
        (name.format(2), "One", "Lying", "", ""),
        ("CLIP_cat-1_001.png", "One", "Lying", "", ""),
    ]
    with (source / "tranch1_labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "how_many", "primary_posture", "primary_occluded",
                        "staff_patient_other"])  # fmt: skip
        table.writerows(rows)
    for present in (name.format(1), "clip_cat-1_001.png", "extra_cat-1_001.png"):
        (source / "tranch1" / present).write_bytes(b"any")
    build_master(source, tmp_path / "out")
    assert set(REPORT_COLUMNS) >= {"tranche", "file_name", "reason"}
    found = {reject.reason: reject for reject in read_rejects(tmp_path / "out")}
    assert found["no image has this name"] == Reject(
        "1", "no image has this name", 1, "'" + name.format(2)
    )
    assert found["no image has this name; but one differs in case only"].count == 1
    assert found["no row names this image"].count == 2
    assert read_contradictions(tmp_path / "out") == [
        Contradiction(CONTRADICTIONS[0], 1, ["'" + name.format(1)])
    ]


def test_a_run_that_ended_before_its_tables_has_none(tmp_path):
    assert read_rejects(tmp_path) == []
    assert read_contradictions(tmp_path) == []
