"""The templates of the dossier: Markdown, and XML, whose values are escaped."""

import html
import re
from functools import cache
from typing import Any

import jinja2

from pipeline.review import formats


def render(name: str, **values: Any) -> str:
    """Fills a template in.

    Args:
      name: of its file in templates/, without `.jinja`.
      **values: what it shows.

    Returns:
      The text, with one blank line where parts that are absent have left several.
    """
    text = _environment().get_template(f"{name}.jinja").render(values)
    return re.sub(r"\n{3,}", "\n\n", text.strip("\n")) + "\n"


def one_line(sentence: str) -> str:
    """A sentence of a run as a line of Markdown.

    It may quote names of images: they stay as `pipeline.runs.names` looks for them.
    """
    return html.escape(re.sub(r"[\r\n]+", " ", sentence), quote=False)


def _cell(content: str) -> str:
    return one_line(content).replace("|", "&#124;")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.dossier"),
        autoescape=jinja2.select_autoescape(["xml.jinja"], default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        cell=_cell,
        count=formats.count,
        moment=formats.moment,
        one_line=one_line,
        percent=formats.percent,
    )
    return environment
