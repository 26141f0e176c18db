"""The names and orders that everything else relies on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import features


@given(
    names=st.permutations(["1", "2", "9", "10", "101", "a", "night 2", "night 2b", "night 10"]),
)
def test_tranches_sort_by_their_numbers(names: list[str]) -> None:
    assert sorted(names, key=features.tranche_order) == [
        *("1", "2", "9", "10", "101"),
        *("a", "night 2", "night 2b", "night 10"),
    ]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (features.HOW_MANY, ["None", "One", "Two", "Three", "Four", features.BLANK]),
        (features.POSTURE, [*features.POSTURES, features.UNKNOWN_POSTURE, features.BLANK]),
        (features.OCCLUDED, ["Yes", "No", features.BLANK, features.UNKNOWN_OCCLUSION]),
        (features.LIGHT, ["dark", "usual", "bright"]),
        (features.TRANCHE, ["1", "2", "2b", "10"]),
    ],
)
def test_values_sort_as_the_schema_lists_them_and_what_is_not_told_comes_last(
    column: str, values: list[str]
) -> None:
    ordered = sorted(reversed(values), key=lambda value: features.value_order(column, value))
    assert set(ordered) == set(values)
    told = [value for value in values if value not in features.NOT_TOLD]
    assert ordered[: len(told)] == told


@given(names=st.lists(st.text("a0129²٣ ", max_size=6), max_size=6))
def test_any_names_sort_the_same_way_each_time(names: list[str]) -> None:
    ordered = sorted(names, key=features.tranche_order)
    assert ordered == sorted(reversed(names), key=features.tranche_order)
