"""The charts of the data: labels, clips, and what was measured on the images."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import altair as alt

from pipeline.review import formats, vega
from pipeline.review.contents import Data, MeasureSummary
from pipeline.review.text_tables import NOT_TOLD, Table, column_title
from schema import features

_BARS: Final = 40  # of a histogram


def draw(data: Data) -> list[vega.Chart]:
    """The original project's four charts of the labels, and what was measured on the images."""
    charts = []
    for column, tallies in data.labels.items():
        tranches = {f"Tranche {tranche}": tally for tranche, tally in tallies.items()}
        charts.append(_stacked(f"labels-{column}", "Tranche", column, tranches))
    for column, tallies in data.by_posture.items():
        postures = {value: tallies[value] for value in _ordered(column, tallies)}
        charts.append(
            _stacked(f"postures-{column}", column_title(column), features.POSTURE, postures)
        )
    if data.images_per_clip:
        charts.append(_images_per_clip(data.images_per_clip))
    measures = dict.fromkeys(summary.measure for summary in data.measures)
    return charts + [_measure(data, measure) for measure in measures]


def _stacked(
    key: str, rows_are: str, column: str, tallies: dict[str, dict[str, int]]
) -> vega.Chart:
    """A bar for each row of `tallies`, in pieces by the values of `column`.

    The page shows it in counts or, after `stack` is set to `normalize`, in shares.
    """
    values = _ordered(column, (value for tally in tallies.values() for value in tally))
    title = f"{column_title(column)} by {rows_are.lower()}"
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
    summary = f"Images by {rows_are.lower()}, each bar in pieces by {column_title(column).lower()}."
    return vega.Chart(
        key,
        title,
        summary,
        vega.spec(chart, summary),
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


def _images_per_clip(clips: dict[int, int]) -> vega.Chart:
    """A histogram of at most `_BARS` bars, each for the same number of counts."""
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
    return vega.Chart(
        "images-per-clip",
        "Images per clip",
        summary,
        vega.spec(chart, summary),
        Table(
            "Clips by their number of images",
            ["Images in the clip", "Clips"],
            [[formats.count(images), formats.count(clips[images])] for images in sorted(clips)],
            [1],
        ),
    )


def _measure(data: Data, measure: str) -> vega.Chart:
    """Quantiles of one measure by tranche: 5 to 95 % a line, 25 to 75 % a box, and the median."""
    summaries = [summary for summary in data.measures if summary.measure == measure]
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
    title = column_title(measure)
    base = vega.chart(rows).encode(y=alt.Y("name:N", title=None, sort=None), tooltip="tip:N")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, axis=alt.Axis(tickCount=5))

    chart = alt.layer(
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=x("low"), x2="high:Q"),
        base.mark_bar(height={"band": 0.45}, opacity=0.6).encode(x=x("lower"), x2="upper:Q"),
        base.mark_tick(color="var(--ink)", thickness=2, bandSize=14).encode(x=x("median")),
    )
    summary = "Lines hold 90 % of the images, boxes 50 %; ticks are medians."
    return vega.Chart(
        f"measure-{measure}",
        title,
        summary,
        vega.spec(chart, f"{title} by tranche. {summary}"),
        Table(
            f"{title} by tranche: quantiles",
            ["Tranche", "5 %", "25 %", "Median", "75 %", "95 %"],
            [[part.tranche, *map(formats.measure, _quantiles(part))] for part in summaries],
            range(1, 6),
        ),
    )


def _quantiles(part: MeasureSummary) -> tuple[float, ...]:
    return part.low, part.lower, part.median, part.upper, part.high


def _ordered(column: str, found: Iterable[str]) -> list[str]:
    """Values of a column: in the schema's order, then what it does not know, then what is blank."""
    values = set(found)
    known = [*features.LABEL_VALUES.get(column, ()), *sorted(values)]
    ordered = [value for value in dict.fromkeys(known) if value in values]
    return sorted(ordered, key=NOT_TOLD.__contains__)
