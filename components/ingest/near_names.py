"""Says in what two file names differ, where a label and its image do not find each other.

Nothing is matched by it: a person decides whether two names mean the same file.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import unquote

# Each removes one kind of difference. They are applied in this order, and a difference that
# several of them remove goes by the first one's name.
_FOLDS: Final[dict[str, Callable[[str], str]]] = {
    "percent-encoding": unquote,
    "place": lambda name: re.split(r"[/\\]", name)[-1],
    "case": str.casefold,
    "the form of its letters": lambda name: unicodedata.normalize("NFKC", name),
    "accents": lambda name: "".join(
        letter for letter in unicodedata.normalize("NFD", name) if not unicodedata.combining(letter)
    ),
    "an added part": lambda name: re.sub(
        r"(?i)^(?:(?:[0-9a-f]{8}(?:(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?|home|tranche?[0-9]+|copy of)"
        r"[-_ ]+)+(?=.+_cat-1_)|(?: ?\([0-9]+\)| - (?:copy|kopie))(?=\.[a-z]+$)",
        "",
        name,
    ),
    "spaces or invisible characters": lambda name: "".join(
        letter
        for letter in name
        if not letter.isspace() and unicodedata.category(letter) not in ("Cf", "Cc")
    ),
    "extension": lambda name: re.sub(r"(?i)(?:\.[a-z]{3,4})+$", "", name),
    "the zeros of its frame": lambda name: re.sub(r"(?i)(?<=_cat-1_)0+(?=[0-9])", "", name),
}

# What programs take bytes for, and what the bytes are.
_TAKEN_FOR: Final = ("cp437", "cp1252", "latin-1")
_WERE: Final = (
    *("utf-8", "cp932", "gbk", "big5", "euc-kr"),
    *("cp1252", "cp850", "cp1251", "cp866", "mac-roman"),
)
_ESCAPED_BYTE: Final = re.compile(r"\\udc([89a-f][0-9a-f])")  # as `archive.printable` writes it


def note(join: sqlite3.Connection) -> None:
    """Fills the table `hint`: for labels without image, which file has nearly their name.

    Args:
      join: has the tables and views of `master.build_master`.
    """
    join.execute("CREATE TABLE near (key TEXT, tranche INTEGER, file_name TEXT)")
    lost = """
        SELECT tranche, file_name FROM label
        WHERE (tranche, file_name) NOT IN (SELECT tranche, file_name FROM master)
        """
    spare = """
        SELECT tranche, file_name FROM image
        WHERE (tranche, file_name) NOT IN (SELECT tranche, file_name FROM label)
        UNION ALL SELECT tranche, file_name FROM reject
        """
    join.executemany(
        "INSERT INTO near VALUES (?, ?, ?)",
        (
            (key(reading), tranche, name)
            for tranche, name in join.execute(spare)
            for reading in readings(name)
        ),
    )
    join.execute("CREATE INDEX near_key ON near (key)")
    for tranche, name in join.execute(lost):
        for reading in readings(name):
            found = join.execute(
                "SELECT tranche, file_name FROM near"
                " WHERE key = ? AND (tranche, file_name) != (?, ?) ORDER BY tranche != ? LIMIT 1",
                (key(reading), tranche, name, tranche),
            ).fetchone()
            if found:
                place = f"place (tranche {found[0]})" if found[0] != tranche else ""
                what = " and ".join(filter(None, [place, difference(name, found[1])]))
                words = f"but {found[1]} differs in {what} only"
                join.execute("INSERT INTO hint VALUES (?, ?)", (name, words))
                break


def key(name: str) -> str:
    """Returns what names have in common that differ in nothing but what `difference` knows."""
    return _folded(name, _FOLDS)


def readings(name: str) -> Iterator[str]:
    """Yields a name, then what it may have been before a program took its encoding for another."""
    yield name
    if name.isascii() and not _ESCAPED_BYTE.search(name):
        return
    raw = _ESCAPED_BYTE.sub(lambda byte: chr(0xDC00 + int(byte[1], 16)), name)
    found = {name}
    for taken_for, errors in [("utf-8", "surrogateescape"), *((e, "strict") for e in _TAKEN_FOR)]:
        for were in _WERE:
            with suppress(UnicodeError):
                reading = raw.encode(taken_for, errors).decode(were)
                if reading not in found:
                    found.add(reading)
                    yield reading


def difference(name: str, other: str) -> str:
    """Says in what two names differ that have a reading of the same `key` in common.

    Args:
      name: a file name.
      other: the other one.

    Returns:
      For example `case`, or `case and extension`; empty if they are equal.
    """
    for first in readings(name):
        for second in readings(other):
            if key(first) != key(second):
                continue
            needed = dict(_FOLDS)
            for what in reversed(_FOLDS):
                fewer = {each: fold for each, fold in needed.items() if each != what}
                if _folded(first, fewer) == _folded(second, fewer):
                    needed = fewer
            encoding = ["encoding"] * ((first, second) != (name, other))
            return " and ".join([*encoding, *needed])
    raise ValueError(f"{name!r} and {other!r} have nothing in common")


def _folded(name: str, folds: dict[str, Callable[[str], str]]) -> str:
    for fold in folds.values():
        name = fold(name)
    return name
