"""The charts of the data section: counts of labels and clips, and quantiles of measures."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import altair as alt

from pipeline.review import formats, vega
from pipeline.review.section import Chart, Table
from schema import features

_BARS: Final = 40  # of a histogram


@dataclass(frozen=True)
class Quantiles:
    """How one measure of the images of one tranche is distributed."""

    measure: str  # a name of `features.MEASURES`, `width` or `height`
    tranche: str
    low: float  # 5 %
    lower: float  # 25 %
    median: float
    upper: float  # 75 %
    high: float  # 95 %


def stacked(key: str, rows_are: str, column: str, tallies: dict[str, dict[str, int]]) -> Chart:
    """A bar for each row, stacked by the values of a column.

    The page can set `stack` to `normalize`, to show shares instead of counts.

    Args:
      key: of the chart.
      rows_are: what the rows are, for example `Tranche`.
      column: a label column.
      tallies: images by row and value.
    """
    values = ordered(column, (value for tally in tallies.values() for value in tally))
    title = f"{formats.column(column)} by {rows_are.lower()}"
    rows: vega.Rows = []
    for name, tally in tallies.items():
        whole = sum(tally.values())
        rows += [
            {
                "name": name,
                "value": value,
                "order": values.index(value),
                "images": number,
                "tip": f"{name}, {value}: {formats.count(number)} images,"
                f" {formats.percent(number / whole)}",
            }
            for value, number in tally.items()
            if number
        ]
    chart = (
        vega.chart(rows)
        .mark_bar(height={"band": 0.7}, stroke="var(--surface)", strokeWidth=1)
        .encode(
            y=alt.Y("name:N", title=None, sort=None),
            x=alt.X(
                "sum(images):Q",
                title="Images",
                stack="zero",
                axis=alt.Axis(format=",d", tickCount=5),
            ),
            color=alt.Color("value:N", scale=alt.Scale(domain=values, range=vega.colours(values))),
            order="order:O",
            tooltip="tip:N",
        )
    )
    summary = (
        f"Images by {rows_are.lower()}; each bar is stacked by {formats.column(column).lower()}."
    )
    return Chart(
        key,
        title,
        *vega.drawn(chart, summary, rows, len(tallies)),
        Table(
            title,
            [rows_are, *values, "All"],
            [_tally(name, tally, values) for name, tally in tallies.items()],
            range(1, len(values) + 2),
        ),
    )


def _tally(name: str, tally: dict[str, int], values: Sequence[str]) -> list[str]:
    """Counts and shares of the values."""
    whole = sum(tally.values())
    counts = [tally.get(value, 0) for value in values]
    return [
        name,
        *(f"{formats.count(part)} ({formats.percent(part / max(1, whole))})" for part in counts),
        formats.count(whole),
    ]


def images_per_clip(clips: dict[int, int]) -> Chart:
    """A histogram of at most `_BARS` bars of equal width.

    Args:
      clips: number of clips by their number of images; not empty.
    """
    width = math.ceil(max(clips) / _BARS)
    bars: Counter[int] = Counter()
    for images, number in clips.items():
        bars[(images - 1) // width] += number
    rows: vega.Rows = [
        {
            "from": bar * width + 0.5,
            "to": (bar + 1) * width + 0.5,
            "clips": number,
            "tip": f"{formats.count(number)} clips of {formats.count(bar * width + 1)}"
            + (f" to {formats.count((bar + 1) * width)} images" if width > 1 else " images"),
        }
        for bar, number in sorted(bars.items())
    ]
    chart = (
        vega.chart(rows)
        .mark_bar(stroke="var(--surface)", strokeWidth=1)
        .encode(
            x=alt.X(
                "from:Q",
                bin="binned",
                title="Images in the clip",
                axis=alt.Axis(format=",d", tickMinStep=1, grid=False),
            ),
            x2="to:Q",
            y=alt.Y("clips:Q", title="Clips", axis=alt.Axis(format=",d", tickMinStep=1)),
            tooltip="tip:N",
        )
    )
    summary = (
        f"How many images a clip has: from {formats.count(min(clips))} to"
        f" {formats.count(max(clips))}."
    )
    return Chart(
        "images-per-clip",
        "Images per clip",
        *vega.drawn(chart, summary, rows),
        Table(
            "Clips by their number of images",
            ["Images in the clip", "Clips"],
            [[formats.count(images), formats.count(clips[images])] for images in sorted(clips)],
            [1],
        ),
    )


def measure(summaries: Sequence[Quantiles]) -> Chart:
    """Quantiles by tranche: a line from 5 to 95 %, a box from 25 to 75 %, a tick at the median.

    Args:
      summaries: of one measure, one for each tranche.
    """
    name = summaries[0].measure
    rows = [
        {
            "name": f"Tranche {part.tranche}",
            "low": vega.finite(part.low),
            "lower": vega.finite(part.lower),
            "median": vega.finite(part.median),
            "upper": vega.finite(part.upper),
            "high": vega.finite(part.high),
            "tip": f"Tranche {part.tranche}: median {formats.measure(part.median)}, half of the"
            f" images from {formats.measure(part.lower)} to {formats.measure(part.upper)}",
        }
        for part in summaries
    ]
    title = formats.column(name)
    base = vega.chart(rows).encode(y=alt.Y("name:N", title=None, sort=None), tooltip="tip:N")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, axis=alt.Axis(tickCount=5))

    chart = alt.layer(
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=x("low"), x2="high:Q"),
        base.mark_bar(height={"band": 0.45}, opacity=0.6).encode(x=x("lower"), x2="upper:Q"),
        base.mark_tick(color="var(--ink)", thickness=2, bandSize=14).encode(x=x("median")),
    )
    summary = (
        f"{title} by tranche. Lines span the middle 90 % of the images, boxes the middle 50 %;"
        " ticks are medians."
    )
    return Chart(
        f"measure-{name}",
        title,
        *vega.drawn(chart, summary, rows),
        Table(
            f"{title} by tranche: quantiles",
            ["Tranche", "5 %", "25 %", "Median", "75 %", "95 %"],
            [[part.tranche, *map(formats.measure, _quantiles(part))] for part in summaries],
            range(1, 6),
        ),
    )


def _quantiles(part: Quantiles) -> tuple[float, ...]:
    return part.low, part.lower, part.median, part.upper, part.high


def ordered(column: str, values: Iterable[str]) -> list[str]:
    """Values in the order of `features.value_order`, each once."""
    return sorted(set(values), key=partial(features.value_order, column))
