"""The curated schema, checked without TensorFlow before anything else starts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schema
from components.errors import InputError
from schema import features

FILE: Final = Path(schema.__file__).with_name("schema.pbtxt")


def check(file: Path = FILE) -> None:
    """Refuses a schema that cannot be read, or that differs from `schema.features`.

    Args:
      file: the schema, in protobuf's text format.

    Raises:
      InputError: a sentence with the file and the line of each mistake.
    """
    try:
        text = file.read_text(encoding="utf-8")
        contract = text_format.Parse(text, schema_pb2.Schema())
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: {error}.") from error
    except text_format.ParseError as error:
        _, _, words = str(error).partition(" : ")  # after line and column
        raise InputError(f"{file}, line {error.GetLine()}: {words.rstrip('.')}.") from error
    if problems := [f"{file}, {problem}." for problem in _problems(text, contract)]:
        raise InputError("\n".join(problems))


def _problems(text: str, contract: schema_pb2.Schema) -> Iterator[str]:
    """What differs from `schema.features`, with the line that has to be changed."""
    described = {each.name: each for each in contract.feature}
    domains = {each.name: tuple(each.value) for each in contract.string_domain}
    for name in sorted({*features.TFRECORD_COLUMNS} - set(described)):
        yield f"end: a feature {name} is missing, which schema/features.py has"
    for name in sorted(set(described) - {*features.TFRECORD_COLUMNS}):
        line = _line(text, "feature", name)
        yield f"line {line}: schema/features.py has no column {name}; correct one of the two"
    for name, values in features.LABEL_VALUES.items():
        if name not in described:
            continue
        if described[name].domain != name or name not in domains:
            line = _line(text, "feature", name)
            yield f'line {line}: {name} needs domain: "{name}", and a string_domain of that name'
            continue
        line, allowed = _line(text, "string_domain", name), (*values, features.BLANK)
        for value in allowed:
            if value not in domains[name]:
                yield f"line {line}: {name} lacks {value!r}, which schema/features.py has"
        for value in domains[name]:
            if value not in allowed:
                yield f"line {line}: {name} has {value!r}, which schema/features.py lacks"


def _line(text: str, kind: str, name: str) -> int:
    """The line of a message's name; 1 if it is written in an unusual way."""
    found = re.search(rf'^\s*{kind}\s*\{{\s*name:\s*"{re.escape(name)}"', text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 1
