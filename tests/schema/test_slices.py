"""Titles, names and order of slices follow from the columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import features, slices
from schema.slices import SliceKey

TRANCHE_TWO: SliceKey = ((features.TRANCHE, "2"),)
LYING: SliceKey = ((features.TRANCHE, "2"), (features.POSTURE, "Lying"))

COLUMNS = st.sampled_from([*features.COLUMNS, "a column of yesterday"])
KEYS = st.dictionaries(COLUMNS, st.text(max_size=5), max_size=3).map(
    lambda pairs: slices.key(pairs.items())
)


def test_every_slicing_is_by_columns_that_are_known() -> None:
    assert {column for columns in slices.COLUMNS for column in columns} <= set(features.COLUMNS)
    assert len({frozenset(columns) for columns in slices.COLUMNS}) == len(slices.COLUMNS)


def test_no_two_slicings_have_the_same_title() -> None:
    titles = [slices.title(columns) for columns in slices.COLUMNS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("key", "title", "name"),
    [
        (TRANCHE_TWO, "Tranche", "tranche 2"),
        (((features.OCCLUDED, "Yes"),), "Occlusion", "occluded: Yes"),
        (((features.SIZE, "small"),), "Image size", "size: small"),
        (LYING, "Posture by tranche", "Lying in tranche 2"),
        (
            ((features.TRANCHE, "2"), (features.EXCEPTION_CASE, "No")),
            "Exception case by tranche",
            "exception: No in tranche 2",
        ),
        ((("camera", "A"),), "Camera", "camera: A"),
    ],
)
def test_titles_and_names_follow_from_the_columns(key: SliceKey, title: str, name: str) -> None:
    assert slices.title([column for column, _ in key]) == title
    assert slices.name(key) == name


def test_the_whole_test_split_has_a_name() -> None:
    assert slices.name(()) == "all test images"


def test_only_a_single_column_has_a_note() -> None:
    assert slices.note([features.POSTURE]) == "Accuracy within a posture is its recall."
    assert slices.note([features.TRANCHE, features.POSTURE]) == ""


def test_slices_are_in_the_order_of_the_columns_and_of_their_values() -> None:
    keys: list[SliceKey] = [
        (),
        TRANCHE_TWO,
        ((features.TRANCHE, "10"),),
        ((features.POSTURE, "Standing"),),
        ((features.POSTURE, "Lying"),),
        LYING,
        ((features.LIGHT, "dark"),),
        ((features.LIGHT, "bright"),),
        (("camera", "A"),),
    ]
    assert sorted(reversed(keys), key=slices.order) == keys


@given(keys=st.lists(KEYS, max_size=6), more=KEYS)
def test_any_slices_can_be_named_and_sort_the_same_way_each_time(
    keys: list[SliceKey], more: SliceKey
) -> None:
    ordered = sorted([*keys, more], key=slices.order)
    assert ordered == sorted([more, *reversed(keys)], key=slices.order)
    assert all(value in slices.name(key) for key in ordered for _, value in key)


@given(pairs=st.permutations(LYING))
def test_the_columns_of_a_key_are_in_the_order_of_the_slicing(pairs: list[tuple[str, str]]) -> None:
    assert slices.key(pairs) == LYING
