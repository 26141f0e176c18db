"""Serializes tf.train.Examples: the same values give the same bytes in every process.

The two libraries at hand do not suit ingestion's many workers. tfx_bsl's coder writes the features
in an order that differs from process to process; TensorFlow's classes take twelve seconds and
hundreds of megabytes to import. The messages are few: tensorflow/core/example/feature.proto, in
the wire format of https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Mapping


def serialize(values: Mapping[str, bytes | int | float]) -> bytes:
    """Returns a tf.train.Example, its features sorted by name.

    Args:
      values: one value for each feature: bytes, a 64-bit integer, or a number that becomes a
        32-bit float.
    """
    return _field(1, b"".join(_field(1, feature(*item)) for item in sorted(values.items())))


def feature(name: str, value: bytes | int | float) -> bytes:
    """Returns what an Example contains, in one piece, if a feature has a single value.

    Args:
      name: of the feature.
      value: see `serialize`.
    """
    if isinstance(value, bytes):
        values = _field(1, _field(1, value))
    elif isinstance(value, int):
        values = _field(3, _field(1, _varint(value % 2**64)))
    else:
        values = _field(2, _field(1, struct.pack("<f", value)))
    return _field(1, name.encode()) + _field(2, values)


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, text, packed numbers or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have their highest bit set."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])
