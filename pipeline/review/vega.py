"""What all charts of the page share: their style, and how they are written as Vega-Lite.

Colours are CSS variables of the page (`static/review.css`), so that a chart follows the reader's
colour scheme, and is light on paper, without being drawn again.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from schema import features

Rows = list[dict[str, Any]]
Drawn = alt.Chart | alt.LayerChart | alt.FacetChart

# Defaults of all charts.
CONFIG: Final[dict[str, Any]] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": 2,
    "mark": {"aria": False, "color": "var(--series-1)"},
    "rule": {"color": "var(--series-1)"},
    "view": {"stroke": None, "continuousHeight": 220},
    "axis": {
        "domainColor": "var(--line)",
        "gridColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "titleColor": "var(--muted)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "axisX": {"labelFlush": False},
    # On a phone, long names must leave room for the marks, and legends must wrap.
    "axisY": {"labelLimit": {"expr": "containerSize()[0] * 0.35"}},
    "legend": {
        "orient": "top",
        "columns": {"expr": "max(1, floor(containerSize()[0] / 140))"},
        "title": None,
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "labelLimit": 120,
        "symbolStrokeWidth": 2,
    },
    "text": {"color": "var(--muted)", "fontSize": 12},
}

# Numbers on axes, as `pipeline.review.formats` writes them.
LOCALE: Final[dict[str, Any]] = {
    "decimal": ".",
    "thousands": "\N{NARROW NO-BREAK SPACE}",
    "grouping": [3],
    "currency": ["", ""],
    "percent": "\N{NARROW NO-BREAK SPACE}%",
}

SHARE_AXIS: Final = alt.Axis(format="~%", tickCount=5)
LINES: Final = alt.Legend(symbolType="stroke")


def chart(rows: Rows) -> alt.Chart:
    """A chart of rows that are written into its spec."""
    return alt.Chart({"values": rows})


def spec(chart: Drawn, description: str) -> dict[str, Any]:
    """Vega-Lite JSON as wide as its container; screen readers read `description`."""
    spec = chart.properties(width="container", description=description).to_dict()
    del spec["config"]
    return spec


def drawn(
    chart: Drawn, summary: str, rows: Rows, bars: int | None = None
) -> tuple[str, dict[str, Any] | None]:
    """What to say of a chart, and its `spec`; without one if it would be a single bar or dot.

    Args:
      chart: whose description is the summary.
      summary: what it shows.
      rows: its data; their tooltips are said in place of the chart.
      bars: how many bars, dots or steps of a line there are, if not one for each row.
    """
    if (len(rows) if bars is None else bars) == 1:
        return "; ".join(row["tip"] for row in rows) + ".", None
    return summary, spec(chart, summary)


def finite(value: float | None) -> float | None:
    """None instead of NaN and infinity, which JSON lacks and a diverged training has."""
    return value if value is not None and math.isfinite(value) else None


def colours(values: Sequence[str]) -> list[str]:
    """A colour for each value: the same for a posture everywhere, grey for what is unknown."""
    told = [value for value in values if value not in features.NOT_TOLD]
    greys = [value for value in values if value in features.NOT_TOLD]
    if set(told) <= set(features.POSTURES):
        numbers = {value: features.POSTURES.index(value) for value in told}
    else:
        numbers = {value: number for number, value in enumerate(told)}
    return [
        f"var(--series-{numbers[value] % 7 + 1})"
        if value in numbers
        else f"var(--grey-{greys.index(value) + 1})"
        for value in values
    ]
