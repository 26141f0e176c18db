"""TensorFlow, which does not write the Examples, reads the same values from them."""

import struct

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.example_proto import feature, serialize

INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.binary(max_size=300) | INTEGERS | st.floats(width=32, allow_nan=False)


@given(st.dictionaries(st.text(max_size=200), VALUES, min_size=1, max_size=20))
def test_tensorflow_reads_the_values(
    values: dict[str, bytes | int | float],
) -> None:
    example = tf.train.Example()
    for name, value in values.items():
        one = example.features.feature[name]
        kind = {bytes: one.bytes_list, int: one.int64_list, float: one.float_list}[type(value)]
        kind.value.append(value)
    found = serialize(values)
    assert tf.train.Example.FromString(found) == example
    assert len(found) == example.ByteSize()
    assert serialize(dict(reversed(values.items()))) == found
    assert all(feature(name, value) in found for name, value in values.items())


def test_a_number_too_large_for_its_kind_is_refused() -> None:
    with pytest.raises((OverflowError, struct.error)):
        serialize({"contrast": 1e300})
