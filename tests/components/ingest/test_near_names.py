import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.near_names import difference, key, readings

# How a name comes to differ, and what the difference is called.
CHANGES = {
    "case": str.upper,
    "extension": lambda name: name.replace(".png", ".jpg"),
    "percent-encoding": lambda name: name.replace(" ", "%20"),
    "place": lambda name: f"home/{name}",
    "accents": lambda name: name.replace("\u00fc", "u"),
    "the form of its letters": lambda name: name.replace("1", "\uff11"),
    "spaces or invisible characters": lambda name: name.replace(" ", "\u200b") + " ",
    "the zeros of its frame": lambda name: name.replace("_003", "_3"),
    "an added part": lambda name: f"9f767c45-{name}",
}
NAME = "Zimmer Gr\u00fcn 1_cat-1_003.png"


@pytest.mark.parametrize("what", CHANGES)
def test_each_difference_is_named(what: str) -> None:
    other = CHANGES[what](NAME)
    assert other != NAME
    assert difference(NAME, other) == difference(other, NAME) == what


def test_two_differences_are_found() -> None:
    for first, second in itertools.permutations(CHANGES, 2):
        other = CHANGES[second](CHANGES[first](NAME))
        if other != CHANGES[first](NAME):  # otherwise the first left nothing to change
            assert set(difference(NAME, other).split(" and ")) <= {first, second}


@pytest.mark.parametrize(
    "other",
    [
        "Copy of {}",
        "tranch2_{}",
        "home-{}",
        "cd7696cc-93bd-44d7-916f-1d7cd9379db7-{}",
        "Zimmer Gr\u00fcn 1_cat-1_003 (1).png",
        "Zimmer Gr\u00fcn 1_cat-1_003 - Kopie.png",
    ],
)
def test_added_parts(other: str) -> None:
    assert difference(NAME, other.format(NAME)) == "an added part"


@pytest.mark.parametrize(
    ("clip", "was", "taken_for"),
    [
        ("\u75c5\u5ba4", "cp932", "cp437"),
        ("\u75c5\u5ba4", "utf-8", "cp437"),
        ("\u75c5\u623f", "gbk", "cp437"),
        ("\ubcd1\uc2e4", "euc-kr", "latin-1"),
        ("Gr\u00fcn", "utf-8", "cp1252"),
        ("Gr\u00fcn", "utf-8", "latin-1"),
        ("Gr\u00fcn", "cp1252", "cp437"),
        ("\u043f\u0430\u043b\u0430\u0442\u0430", "cp866", "cp437"),
        ("\u043f\u0430\u043b\u0430\u0442\u0430", "cp1251", "latin-1"),
        ("Gr\u00fcn", "mac-roman", "cp437"),
    ],
)
def test_a_wrong_encoding_is_named(clip: str, was: str, taken_for: str) -> None:
    name = f"{clip}_000_cat-1_000.png"
    garbled = name.encode(was).decode(taken_for)
    assert difference(name, garbled) == difference(garbled, name) == "encoding"
    assert difference(name, garbled.replace(".png", ".jpg")) == "encoding and extension"


def test_bytes_that_are_not_utf8_are_an_encoding_too() -> None:
    """As an unzip on Linux leaves them, and as the table of rejected files shows them."""
    assert (
        difference("\u75c5\u5ba4_cat-1_000.png", "\\udc95a\\udc8e\\udcba_cat-1_000.png")
        == "encoding"
    )


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a_cat-1_001.png", "a_cat-1_002.png"),
        ("2-lying_cat-1_001.png", "3-lying_cat-1_001.png"),
        (
            "cd7696cc-93bd-44d7-916f-1d7cd9379db7_cat-1_000.png",
            "0d7696cc-13bd-44d7-916f-1d7cd9379db7_cat-1_000.png",
        ),
        ("a_cat-1_010.png", "a_cat-1_001.png"),
        ("a_cat-1_001.png", "._a_cat-1_001.png"),
    ],
)
def test_other_names_are_not_near(name: str, other: str) -> None:
    assert key(name) != key(other)


@given(st.text(max_size=20))
def test_any_name_is_near_itself_in_each_form(name: str) -> None:
    name += "_cat-1_000.png"
    assert next(readings(name)) == name
    assert difference(name, name) == ""
    assert key(name.replace(".png", ".PNG")) == key(name)
    if name.isprintable():
        other = unicodedata.normalize("NFKC", name)
        assert key(other) == key(name)
