"""The candidate beside the models that it is compared with, slice by slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from components.judging.decision import Answer, Comparison
from pipeline.review import formats, vega
from pipeline.review.section import Chart, Section
from pipeline.runs.record import Record
from pipeline.runs.run import Run
from pipeline.runs.verdict import MODELS
from schema import slices
from schema.features import ROLES, Role

# What a comparison came to: words, colour and shape.
_ANSWERS: Final[dict[Answer | None, tuple[str, str, str]]] = {
    "worse": ("Worse", "var(--bad)", "triangle-down"),
    "no_worse": ("No worse", "var(--good)", "triangle-up"),
    "untold": ("Cannot be told", "var(--ink)", "circle"),
    None: ("Descriptive", "var(--grey-1)", "circle"),
}
# Pixels of a row of the chart: with one model, and for each of two.
_ROW, _HALF_ROW = 20, 11


@dataclass(frozen=True)
class Other:
    """A model that the candidate is compared with.

    Attributes:
      role: what it is to the candidate.
      model_id: its number in ML Metadata.
      run_id: the run that made it; empty if no run of the output folder did.
      is_reference_too: whether the model in service is also the reference.
      left_out: test images of a posture that it does not know.
    """

    role: Role
    model_id: int
    run_id: str
    is_reference_too: bool
    left_out: int


@dataclass(frozen=True)
class Comparisons(Section):
    """The candidate beside other models.

    Attributes:
      others: one or two models; a reference that is in service is there once.
      comparisons: with them, in the order of the slices.
      least: slices with fewer images are not drawn.
    """

    others: list[Other]
    comparisons: list[Comparison]
    least: int

    def charts(self) -> list[Chart]:
        """One chart, if more than all test images can be compared."""
        drawn = sorted(
            (each for each in self.comparisons if each.images >= self.least or not each.place),
            key=lambda each: each.margin is None,
        )
        return [_chart(drawn, self.others)] if len({each.place for each in drawn}) > 1 else []

    @property
    def hidden(self) -> int:
        """How many slices are not drawn."""
        return len({each.place for each in self.comparisons if each.images < self.least} - {()})


def comparisons(run: Run, history: Sequence[Record], least: int) -> Comparisons | None:
    """Reads what the AcceptanceGate compared.

    Args:
      run: the run.
      history: all runs, oldest first.
      least: slices with fewer images are not drawn.

    Returns:
      None if there was no other model, or the gate was not asked.
    """
    if run.decision is None or not run.decision.others:
        return None
    found = run.decision.others
    numbers = {role: each.model_id for role, each in found.items()}
    same = numbers.get("in_service") == numbers.get("reference")
    made_by = {each.model: each.run_id for each in reversed(history)}
    others = [
        Other(
            role,
            found[role].model_id,
            made_by.get(found[role].model_id, ""),
            is_reference_too=same,
            left_out=found[role].left_out,
        )
        for role in ROLES
        if role in found and not (same and role == "reference")
    ]
    roles = {other.role for other in others}
    return Comparisons(
        others, [each for each in run.decision.comparisons if each.against in roles], least
    )


def in_words(each: Comparison) -> str:
    """Says what a comparison came to."""
    words, *_ = _ANSWERS[each.answer]
    if each.answer == "untold":
        return f"{words} from {formats.count(each.clips)} clip{'' if each.clips == 1 else 's'}"
    if each.answer == "no_worse" and not each.confirmed:
        return f"{words} (described, not proven)"
    return words


def _chart(drawn: Sequence[Comparison], others: Sequence[Other]) -> Chart:
    """A dot, an interval and the margin for each slice and model, and a line where none differ."""
    models = [other.role for other in others]
    rows: list[dict[str, Any]] = [
        {
            "name": slices.name(each.place),
            "model": each.against,
            "answer": _ANSWERS[each.answer][0],
            "difference": vega.finite(each.difference),
            "low": vega.finite(each.low),
            "high": vega.finite(each.high),
            "margin": None if each.margin is None else -each.margin,
            "tip": f"{slices.name(each.place)}, against {MODELS[each.against]}:"
            f" {formats.points(each.difference)}, 95 % interval"
            f" {formats.points_between(each.low, each.high)}; {in_words(each).lower()}",
        }
        for each in drawn
    ]
    axis = alt.Axis(labelExpr="datum.value ? format(datum.value * 100, '+~f') : '0'", tickCount=5)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="Difference in accuracy, points", axis=axis)

    names = list(dict.fromkeys(row["name"] for row in rows))
    several = len(models) > 1
    base = alt.Chart().encode(
        y=alt.Y("name:N", title=None, sort=names),
        yOffset=alt.YOffset("model:N", sort=models) if several else alt.Undefined,
        tooltip="tip:N",
    )
    there = {each.answer for each in drawn}
    words, colours, shapes = zip(*(_ANSWERS[key] for key in _ANSWERS if key in there), strict=True)
    colour = alt.Color("answer:N", scale=alt.Scale(domain=words, range=colours), title=None)
    shape = alt.Shape("answer:N", scale=alt.Scale(domain=words, range=shapes), title=None)
    zero = vega.chart([{"difference": 0}])
    dashes = alt.Scale(domain=models, range=[[1, 0], [3, 2]][: len(models)])
    dash = alt.StrokeDash("model:N", scale=dashes, legend=None)
    chart = alt.layer(
        zero.mark_rule(color="var(--muted)").encode(x=x("difference")),
        base.mark_rule(strokeWidth=2, opacity=0.7).encode(
            x=x("low"), x2="high:Q", color=colour, strokeDash=dash
        ),
        base.mark_tick(thickness=2, color="var(--bad)", size=_HALF_ROW).encode(x=x("margin")),
        base.mark_point(filled=True, size=45, opacity=1).encode(
            x=x("difference"), color=colour, shape=shape
        ),
        data={"values": rows},
        height=alt.Step(_HALF_ROW if several else _ROW),
    )
    if several:
        against = "the model in service (solid lines) and the reference (dashed)"
    else:
        against = MODELS[others[0].role]
    summary = (
        f"Accuracy of the new model less that of {against}, with 95 % intervals, in points: left of"
        " 0 the new model is worse. The upright strokes are the margins of the plan. Taken alone,"
        " an interval wholly to the right of its stroke shows that the model is no worse, one"
        " wholly to the left that it is worse; colours and shapes tell what is shown of all slices"
        " together."
    )
    return Chart("differences", "Differences by slice", summary, vega.spec(chart, summary))
