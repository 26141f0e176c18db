"""How the page writes numbers, times and names.

Percentages have one decimal, thousands are separated by thin spaces.
"""

import math
from datetime import UTC, datetime
from typing import Final

from schema import features

ABSENT: Final = "\N{EN DASH}"
_THIN: Final = "\N{NARROW NO-BREAK SPACE}"
_MINUS: Final = "\N{MINUS SIGN}"
_POINTS: Final = f"{_THIN}points"

# What was measured on the images, with units.
_MEASURES: Final = {
    features.WIDTH: "Width (pixels)",
    features.HEIGHT: "Height (pixels)",
    features.BRIGHTNESS: "Brightness (mean luma, 0 to 255)",
    features.CONTRAST: "Contrast (standard deviation of luma)",
    features.SHARPNESS: "Sharpness (variance of the Laplacian)",
    features.SATURATION: "Saturation (mean, 0 to 255)",
}
# Characters of a name that is not shortened, and those that are left at its ends.
_LONGEST_NAME: Final = 30
_START, _END = 8, 18


def percent(share: float | None) -> str:
    """A share of 0 to 1 as `90.7 %`."""
    return _decimals(share, 100.0, 1, f"{_THIN}%")


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign: `+1.3 points`."""
    text = _decimals(difference, 100.0, 1, _POINTS)
    return text if text == ABSENT or text.startswith(_MINUS) else f"+{text}"


def between(low: float | None, high: float | None) -> str:
    """An interval of shares as `89.7 % to 94.5 %`; a dash where a bound is not known."""
    low_text, high_text = percent(low), percent(high)
    return ABSENT if ABSENT in (low_text, high_text) else f"{low_text} to {high_text}"


def loss(share: float) -> str:
    """A loss that is allowed, or can be shown, in percentage points: `1.0 points`."""
    return _decimals(share, 100.0, 1, _POINTS)


def points_between(low: float | None, high: float | None) -> str:
    """An interval of differences in percentage points as `-0.8 to +3.4`."""
    return " to ".join(points(end).removesuffix(_POINTS) for end in (low, high))


def decimal(value: float | None, digits: int = 3) -> str:
    """A plain number such as a calibration error: `0.042`."""
    return _decimals(value, 1.0, digits, "")


def measure(value: float | None) -> str:
    """A measured figure to four significant digits: `1 280`, `48.25`."""
    if value is None or not math.isfinite(value):
        return ABSENT
    digits = max(0, 3 - (math.floor(math.log10(abs(value))) if value else 0))
    return _decimals(value, 1.0, min(digits, 4), "")


def count(number: int) -> str:
    """A number of things: `4 080`."""
    return _decimals(number, 1.0, 0, "")


def change(number: int) -> str:
    """A difference between two numbers of things, with its sign: `+12`."""
    return f"+{count(number)}" if number > 0 else count(number)


def rate(value: float) -> str:
    """A learning rate: `0.001`, `1e-05`."""
    return f"{value:g}"


def duration(seconds: float) -> str:
    """A time span as `13 min 46 s`, or `41.2 s` below a minute."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment(iso: str) -> str:
    """An ISO 8601 time as `23 November 2026, 14:05 UTC`; without a zone it is taken as UTC."""
    time = _utc(iso)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def stamp(iso: str) -> str:
    """An ISO 8601 time for an axis or a table column: `2026-11-23 14:05:07`, UTC."""
    return f"{_utc(iso):%Y-%m-%d %H:%M:%S}"


def column(name: str) -> str:
    """A heading for a column or a measure; the column's own name if there is none."""
    if name in features.COLUMNS:
        return features.COLUMNS[name].title.capitalize()
    return _MEASURES.get(name, name)


def short(name: str) -> str:
    """A file name that fits under a thumbnail: `3f9a04c1…8d_cat-1_003.jpeg`."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_START]}…{name[-_END:]}"


def _utc(iso: str) -> datetime:
    time = datetime.fromisoformat(iso)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _decimals(value: float | None, factor: float, digits: int, unit: str) -> str:
    """`value` times `factor`; a dash for None and what is not finite, and never a minus zero."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{round(value * factor, digits) + 0.0:,.{digits}f}"
    return text.replace(",", _THIN).replace("-", _MINUS) + unit
