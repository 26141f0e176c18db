"""Honest splits: no clip on two sides, on the real tables and on invented ones."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from components.examples.example_gen import partition, split_of_clip
from components.ingest.master import build_master
from schema import features
from tests.support.examples import serialized

SHARES = (70, 15, 15)


def _example(clip: str, posture: str, how_many: str = "One", occluded: str = "No") -> bytes:
    return serialized(
        {
            features.CLIP: clip,
            features.POSTURE: posture,
            features.HOW_MANY: how_many,
            features.OCCLUDED: occluded,
        }
    )


def _side(example: bytes, selection: str) -> int:
    return partition(example, 4, SHARES, features.CLIP, selection)


@pytest.mark.parametrize(
    ("posture", "how_many", "occluded", "labelled", "single_person"),
    [
        ("Sitting", "One", "No", True, True),
        ("Sitting", "One", features.BLANK, True, True),
        ("Sitting", "Two", "No", True, False),
        ("Lying", "One", features.UNKNOWN_OCCLUSION, True, False),
        ("Unknown", "One", "No", False, False),
        (features.BLANK, "None", "No", False, False),
    ],
)
def test_selection(
    posture: str, how_many: str, occluded: str, labelled: bool, single_person: bool
) -> None:
    example = _example("clip", posture, how_many, occluded)
    assert (_side(example, features.LABELLED) < 3) is labelled
    assert (_side(example, features.SINGLE_PERSON) < 3) is single_person


@settings(max_examples=200)
@given(clip=st.text(min_size=1), postures=st.lists(st.sampled_from(features.POSTURES), min_size=2))
def test_frames_of_a_clip_stay_together(clip: str, postures: list[str]) -> None:
    sides = {_side(_example(clip, posture), features.LABELLED) for posture in postures}
    assert sides == {split_of_clip(clip.encode(), SHARES)}


def test_shares_are_kept_over_many_clips() -> None:
    sides = Counter(split_of_clip(f"clip-{n}".encode(), SHARES) for n in range(20_000))
    assert [round(sides[side] / 200) for side in range(3)] == pytest.approx(SHARES, abs=1)


def test_no_clip_of_the_real_tables_is_on_two_sides(shared_data: Path, tmp_path: Path) -> None:
    report = build_master(shared_data / "labels", tmp_path, labels_only=True)
    sides: dict[str, set[str]] = defaultdict(set)
    rows: Counter[str] = Counter()
    with report.master.open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            example = _example(
                row[features.CLIP],
                row[features.POSTURE] or features.BLANK,
                row[features.HOW_MANY],
                row[features.OCCLUDED] or features.BLANK,
            )
            side = ("train", "eval", "test", "unselected")[_side(example, features.LABELLED)]
            rows[side] += 1
            if side != "unselected":
                sides[row[features.CLIP]].add(side)
    assert sum(rows.values()) == 40_787
    assert rows["unselected"] == 40_787 - 36_428
    assert [clip for clip, found in sides.items() if len(found) > 1] == []
    assert {found for side in sides.values() for found in side} == {"train", "eval", "test"}


def testpartition_on_beam_loses_nothing() -> None:
    records = [_example(f"clip-{n % 30}", features.POSTURES[n % 3]) for n in range(90)]
    records += [_example(f"clip-{n}", "Unknown") for n in range(7)]
    with beam.Pipeline() as pipeline:
        parts = (
            pipeline
            | beam.Create(records)
            | beam.Partition(partition, 4, SHARES, features.CLIP, features.LABELLED)
        )
        counts = [
            part | f"Count{index}" >> beam.combiners.Count.Globally()
            for index, part in enumerate(parts)
        ]
        assert_that(counts[3], equal_to([7]), label="unselected")
        total = counts | beam.Flatten() | beam.CombineGlobally(sum)
        assert_that(total, equal_to([97]), label="total")
