"""Writes a review as one HTML file that needs no network and no other file.

Its Content-Security-Policy allows two scripts only, each named by its hash. Vega runs with
its own expression interpreter, because the policy forbids `eval`.
"""

import base64
import hashlib
import io
import math
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image, ImageFilter

from components.examples import hamming, near_duplicates
from components.files import replacing
from pipeline.review import accuracy_charts, comparison, formats, glossary, vega
from pipeline.review.contents import SECTIONS, Review, Slice
from pipeline.review.gallery import Gallery
from pipeline.review.section import Chart, Table
from pipeline.runs.record import moment
from pipeline.runs.run import REVIEW
from pipeline.runs.verdict import MODELS
from schema import features

_HERE: Final = Path(__file__).parent


def write(review: Review, path: Path, blur: bool) -> None:
    """Writes the page; a reader sees the old file or the new one, never a part.

    Args:
      review: what is on it.
      path: the HTML file; its folder is made.
      blur: whether the pictures are blurred in the file itself, irreversibly.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file name may contain bytes that are not text; they are shown as \udc80.
    with replacing(path, errors="backslashreplace") as file:
        file.write(render(review, blur))


def render(review: Review, blur: bool) -> str:
    """The page as HTML.

    Args:
      review: what is on it.
      blur: as in `write`.
    """
    style = (_HERE / "static" / "review.css").read_text(encoding="utf-8")
    script = (_HERE / "static" / "review.js").read_text(encoding="utf-8")
    drawing = _vega()
    charts = {chart.key: chart for chart in _charts(review)}
    seen: set[tuple[str, str | int]] = set()
    return (
        _environment()
        .get_template("index.html.jinja")
        .render(
            review=review,
            blur=blur,
            sections=SECTIONS,
            postures=features.POSTURES,
            posture_column=features.POSTURE,
            in_words=comparison.in_words,
            models=MODELS,
            bits=(near_duplicates.DISTANCE, hamming.BITS),
            tables=_tables(review),
            charts=charts,
            chart_data={
                "config": vega.CONFIG,
                "locale": vega.LOCALE,
                "specs": {key: chart.spec for key, chart in charts.items() if chart.spec},
            },
            matrices=list(_matrices(review)),
            bars_from=_bars_from(review),
            jpeg=partial(_jpeg, blur=blur),
            glossary=glossary.TERMS,
            seen=seen,
            once=partial(_once, seen),
            style=style,
            scripts=[drawing, script],
            policy="; ".join(
                [
                    "default-src 'none'",
                    "img-src data:",
                    f"script-src {_digest(drawing)} {_digest(script)}",
                    f"style-src {_digest(style)}",
                    "base-uri 'none'",
                    "form-action 'none'",
                ]
            ),
        )
    )


def _once(seen: set[tuple[str, str | int]], kind: str, key: str | int) -> bool:
    """Whether something has not been on the page before; from then on it has."""
    before = (kind, key) in seen
    seen.add((kind, key))
    return not before


def _tables(review: Review) -> dict[str, Table]:
    """The tables that have rows, by key."""
    tables = {
        "stages": Table(
            "Steps of the run, how each ended, and how long it took",
            ["Step", "State", "Time"],
            [
                [stage.name, stage.state, formats.duration(stage.seconds)]
                for stage in review.run.components
                if stage.name != REVIEW
            ],
            [2],
        ),
        "history": accuracy_charts.history_table(review.history, review.run.run_id),
    }
    for section in review.sections:
        tables |= section.tables()
    return {key: table for key, table in tables.items() if table.rows}


def _charts(review: Review) -> Iterator[Chart]:
    for section in review.sections:
        yield from section.charts()
    if sum(run.accuracy is not None for run in review.history) > 1:
        yield accuracy_charts.history(review.history, review.run.run_id)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=formats.percent,
        points=formats.points,
        points_between=formats.points_between,
        between=formats.between,
        decimal=formats.decimal,
        count=formats.count,
        duration=formats.duration,
        iso=moment,
        moment=formats.moment,
        markdown=_markdown,
        sortable=_sortable,
        short=formats.short,
        column_title=formats.column,
    )
    return environment


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script that defines `vegaEmbed`; about 0.9 MB."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _digest(text: str) -> str:
    """The source expression of a Content-Security-Policy that allows exactly this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _bars_from(review: Review) -> float:
    """Where the axis of the accuracy bars starts: a tenth below all slices that are shown."""
    slices = [part for group in review.groups for part in group.slices]
    shown = [part for part in slices if part.count >= review.least]
    bounds = [part.accuracy if part.low is None else part.low for part in shown]
    # The axis needs a length, even if every slice is perfect.
    return min(0.9, math.floor(10 * min(bounds, default=0.0)) / 10)


def _matrices(review: Review) -> Iterator[dict[str, Any]]:
    """The confusion matrix of each slice, all test images first, with the pictures of its cells.

    Yields:
      The `name` of the slice and its number of `images`; then, as [actual][predicted], `counts`
      and `rates` as text, `shares` of a row as numbers, and `pictures` as indices into
      `Gallery.shown`.
    """
    if not review.overall:
        return
    for part in (review.overall, *(part for group in review.groups for part in group.slices)):
        rates = [
            [count / sum(row) if sum(row) else None for count in row] for row in part.confusion
        ]
        yield {
            "name": part.name,
            "images": formats.count(part.count),
            "counts": [list(map(formats.count, row)) for row in part.confusion],
            "rates": [list(map(formats.percent, row)) for row in rates],
            "shares": [[round(rate or 0.0, 3) for rate in row] for row in rates],
            "pictures": [
                [_kept(review.pictures, part, (actual, guess)) for guess in features.POSTURES]
                for actual in features.POSTURES
            ],
        }


def _kept(gallery: Gallery | None, part: Slice, cell: tuple[str, str]) -> list[int]:
    if gallery is None:
        return []
    wanted = list(zip(part.columns, part.values, strict=True))
    return [
        index
        for index in gallery.cells.get(cell, [])
        if all(gallery.shown[index].labels.get(column) == value for column, value in wanted)
    ]


def _jpeg(picture: bytes, blur: bool) -> str:
    """A picture as a data URL."""
    picture = _blurred(picture) if blur else picture
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _blurred(jpeg: bytes) -> bytes:
    """A picture of the same size in which neither faces nor writing can be recognised."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as picture:
        radius = max(picture.size) / 16
        picture.convert("RGB").filter(ImageFilter.GaussianBlur(radius)).save(stream, "JPEG")
    return stream.getvalue()


def _sortable(value: float | None) -> str:
    """A figure as a sort key; unknown ones sort last in either direction."""
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _markdown(text: str) -> Markup:
    """Markdown as HTML inside a section, without its title and with headings one level deeper.

    HTML in the text is escaped, and links that contain a script are not links.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        # Alignment is set by a style attribute, which the policy forbids.
        if token.attrs.pop("style", "") == "text-align:right":
            token.attrs["class"] = "number"
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704
