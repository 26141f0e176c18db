"""The names and orders that everything else relies on."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from schema import features


@pytest.fixture(scope="module")
def contract() -> schema_pb2.Schema:
    text = Path(features.__file__).with_name("schema.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, schema_pb2.Schema())


def test_the_schema_allows_the_label_values_and_the_empty_cell(
    contract: schema_pb2.Schema,
) -> None:
    domains = {domain.name: tuple(domain.value) for domain in contract.string_domain}
    assert domains == {
        column: (*values, features.BLANK) for column, values in features.LABEL_VALUES.items()
    }
    assert {each.name: each.domain for each in contract.feature if each.domain} == {
        column: column for column in features.LABEL_VALUES
    }


def test_the_schema_has_the_columns_of_the_examples(contract: schema_pb2.Schema) -> None:
    names = [each.name for each in contract.feature]
    assert sorted(names) == sorted(
        [
            *features.EXAMPLE_COLUMNS,
            features.IMAGE,
            features.WIDTH,
            features.HEIGHT,
            *features.MEASURES,
            features.PERCEPTUAL_HASH,
        ]
    )


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
