"""Writes a review as one HTML file that needs nothing else: no network, no other file.

The page's policy lets nothing run but the two scripts that are written here, each named by
its hash. Vega draws with its own interpreter of expressions, so that it needs no `eval`.
"""

import base64
import hashlib
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image, ImageFilter

from pipeline.review import charts, formats, text_tables, vega
from pipeline.review.contents import SECTIONS, Picture, Pictures, Review, Slice
from schema import features

_HERE: Final = Path(__file__).parent


def write(review: Review, path: Path, blur: bool) -> None:
    """Writes the page; a reader sees the old file or the new one, never a part.

    Args:
      review: what is on it.
      path: the HTML file; its folder is made.
      blur: whether the pictures are blurred in the file itself, beyond recall.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    # A file name may hold bytes that are no text; they are shown as \udc80.
    part.write_text(render(review, blur), encoding="utf-8", errors="backslashreplace")
    part.replace(path)


def render(review: Review, blur: bool) -> str:
    """The page as HTML.

    Args:
      review: what is on it.
      blur: as in `write`.
    """
    if blur and review.pictures:
        review = replace(review, pictures=_blurred(review.pictures))
    style = (_HERE / "static" / "review.css").read_text(encoding="utf-8")
    script = (_HERE / "static" / "review.js").read_text(encoding="utf-8")
    drawing = _vega()
    drawn = charts.draw(review)
    return (
        _environment()
        .get_template("index.html.jinja")
        .render(
            review=review,
            blur=blur,
            sections=SECTIONS,
            postures=features.POSTURES,
            tables=text_tables.draw(review),
            charts=drawn,
            chart_data={
                "config": vega.CONFIG,
                "locale": vega.LOCALE,
                "specs": {key: chart.spec for key, chart in drawn.items()},
            },
            matrices=list(_matrices(review)),
            bars_from=_bars_from(review),
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
        moment=formats.moment,
        markdown=_markdown,
        jpeg=_jpeg,
        sortable=_sortable,
        column_title=text_tables.column_title,
    )
    return environment


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script that defines `vegaEmbed`; about 0.9 MB."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _digest(text: str) -> str:
    """A source of a Content-Security-Policy that allows exactly this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _bars_from(review: Review) -> float:
    """Where the bars of accuracies start, a tenth: 0.7 if no shown slice reaches below it."""
    slices = [part for group in review.groups for part in group.slices]
    shown = [part for part in slices if part.count >= review.least]
    bounds = [part.accuracy if part.low is None else part.low for part in shown]
    # The bars need a length, even where every slice is perfect.
    return min(0.9, math.floor(10 * min(bounds, default=0.0)) / 10)


def _matrices(review: Review) -> Iterator[dict[str, Any]]:
    """The confusion matrix of each slice, all test images first, with the pictures of its cells.

    Yields:
      The `name` of the slice and its number of `images`; `counts` and `rates` as text, `shares`
      of a row as numbers, and `pictures` as indices into `Pictures.shown`, all of them as
      [actual][predicted].
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


def _kept(pictures: Pictures | None, part: Slice, cell: tuple[str, str]) -> list[int]:
    if pictures is None:
        return []
    wanted = list(zip(part.columns, part.values, strict=True))
    return [
        index
        for index in pictures.cells.get(cell, [])
        if all(pictures.shown[index].labels.get(column) == value for column, value in wanted)
    ]


def _blurred(pictures: Pictures) -> Pictures:
    return replace(pictures, shown=[_blur(picture) for picture in pictures.shown])


def _blur(picture: Picture) -> Picture:
    return replace(
        picture,
        thumbnail=_blur_jpeg(picture.thumbnail),
        attention=_blur_jpeg(picture.attention) if picture.attention else None,
    )


def _blur_jpeg(jpeg: bytes) -> bytes:
    """A picture of the same size in which no face and no writing is left."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as picture:
        radius = max(picture.size) / 16
        picture.convert("RGB").filter(ImageFilter.GaussianBlur(radius)).save(stream, "JPEG")
    return stream.getvalue()


def _jpeg(picture: bytes) -> str:
    """A picture as the address of itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _sortable(value: float | None) -> str:
    """A figure as rows are sorted by it; what is not known sorts last either way."""
    return "" if value is None or not math.isfinite(value) else repr(float(value))


def _markdown(text: str) -> Markup:
    """Markdown as HTML inside a section: its own title is left out, headings are one deeper.

    HTML in the text is shown, not obeyed, and links with a script in them are no links.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        # A column's side is told in a style, which the policy forbids.
        if token.attrs.pop("style", "") == "text-align:right":
            token.attrs["class"] = "number"
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704
