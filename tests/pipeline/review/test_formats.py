import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.review import formats


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.9071, "90.7 %"),
        (1.0, "100.0 %"),
        (0.0, "0.0 %"),
        (None, formats.ABSENT),
        (math.nan, formats.ABSENT),
    ],
)
def test_a_share_is_a_percentage_with_one_decimal(share: float | None, text: str) -> None:
    assert formats.percent(share).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (0.0128, "+1.3 points"),
        (-0.0832, "\u22128.3 points"),
        (0.0, "+0.0 points"),
        (-0.0001, "+0.0 points"),
        (None, formats.ABSENT),
    ],
)
def test_a_difference_has_a_sign(difference: float | None, text: str) -> None:
    assert formats.points(difference).replace("\u202f", " ") == text


def test_an_interval_without_a_bound_is_a_dash() -> None:
    assert formats.between(0.897, 0.945).replace("\u202f", " ") == "89.7 % to 94.5 %"
    assert formats.between(None, 0.945) == formats.ABSENT
    assert formats.points_between(-0.008, 0.034).replace("\u202f", " ") == "\u22120.8 to +3.4"


def test_thousands_are_set_apart() -> None:
    assert formats.count(40787).replace("\u202f", " ") == "40 787"
    assert formats.measure(1280.0).replace("\u202f", " ") == "1 280"
    assert formats.measure(48.254) == "48.25"
    assert formats.measure(0.0) == "0.000"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(41.23, "41.2 s"), (826.4, "13 min 46 s"), (59.99, "1 min 0 s"), (7260.0, "2 h 1 min")],
)
def test_times_are_read_without_reckoning(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize("iso", ["2026-11-23T14:05:07+00:00", "2026-11-23T15:05:07+01:00"])
def test_moments_are_in_utc(iso: str) -> None:
    assert formats.moment(iso) == "23 November 2026, 14:05 UTC"
    assert formats.stamp(iso) == "2026-11-23 14:05:07"


@given(st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf, -math.inf]))
def test_every_number_can_be_written(value: float) -> None:
    for write in (formats.percent, formats.points, formats.decimal, formats.measure):
        assert (write(value) == formats.ABSENT) == (not math.isfinite(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("frame_0007.png", "frame_0007.png"),
        ("0123456789abcdef" * 4 + "_cat-1_003.jpeg", "01234567…def_cat-1_003.jpeg"),
    ],
)
def test_a_long_name_keeps_both_ends(name: str, text: str) -> None:
    assert formats.short(name) == text
