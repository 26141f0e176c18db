"""The charts of the model: slices, calibration, training and history."""

from collections.abc import Sequence
from typing import Final

import altair as alt

from pipeline.review import formats, vega
from pipeline.review.contents import Calibration, Slice, SliceGroup, Training
from pipeline.review.text_tables import Table
from pipeline.runs.record import Record
from pipeline.runs.verdict import PUSHED

_LINES: Final = alt.Legend(symbolType="stroke")

# --- slices ---------------------------------------------------------------------------


def slices(key: str, group: SliceGroup, overall: Slice) -> vega.Chart:
    """A dot and an interval for each slice, and a line at the accuracy of all test images."""
    rows = [
        {
            "name": part.name,
            "accuracy": vega.finite(part.accuracy),
            "low": vega.finite(part.low),
            "high": vega.finite(part.high),
            "tip": f"{part.name}: {formats.percent(part.accuracy)} of"
            f" {formats.count(part.count)} images; {formats.between(part.low, part.high)}",
        }
        for part in group.slices
    ]
    scale = alt.Scale(domainMax=1.0, zero=False)

    def x(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q", title="Accuracy, 95 % interval", axis=vega.SHARE_AXIS, scale=scale
        )

    names = [part.name for part in group.slices]
    base = alt.Chart().encode(y=alt.Y("name:N", title=None, sort=names), tooltip="tip:N")
    average = vega.chart([{"accuracy": overall.accuracy}])
    layers = alt.layer(
        average.mark_rule(color="var(--muted)", strokeDash=[4, 4]).encode(x=x("accuracy")),
        base.mark_rule(strokeWidth=3, opacity=0.55).encode(x=x("low"), x2="high:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=x("accuracy")),
        data={"values": rows},
    )
    # The table's filters say which slices are shown.
    shown = alt.param(name="shown", value=names)
    chart = layers.add_params(shown).transform_filter("indexof(shown, datum.name) >= 0")
    summary = (
        f"Accuracy of each slice by {group.title.lower()}; the dashed line is the accuracy on"
        f" all test images, {formats.percent(overall.accuracy)}. The table above has the figures."
    )
    return vega.Chart(key, f"Accuracy by {group.title.lower()}", summary, vega.spec(chart, summary))


# --- calibration ----------------------------------------------------------------------


def reliability(calibration: Calibration) -> vega.Chart:
    """Accuracy against confidence by bin, as in DeGroot and Fienberg (1983)."""
    rows = [
        {
            "confidence": vega.finite(part.confidence),
            "accuracy": vega.finite(part.accuracy),
            "count": part.count,
            "tip": f"Confidence {formats.percent(part.confidence)}: right in"
            f" {formats.percent(part.accuracy)} of {formats.count(part.count)} images",
        }
        for part in calibration.bins
    ]
    ideal = vega.chart([{"at": 0.0}, {"at": 1.0}]).mark_line(
        color="var(--muted)", strokeDash=[4, 4], strokeWidth=1
    )
    base = vega.chart(rows).encode(
        x=alt.X("confidence:Q", title="Confidence of the model", axis=vega.SHARE_AXIS),
        y=alt.Y("accuracy:Q", title="Share that is right", axis=vega.SHARE_AXIS),
    )
    size = alt.Size("count:Q", legend=None, scale=alt.Scale(range=[30, 400]))
    chart = alt.layer(
        ideal.encode(x="at:Q", y="at:Q"),
        base.mark_line(),
        base.mark_point(filled=True, opacity=1).encode(size=size, tooltip="tip:N"),
    )
    summary = (
        "How often the model is right at each confidence. On the dashed line, confidence is what"
        " it says; below it the model is too sure. Larger dots stand for more images."
    )
    return vega.Chart(
        "reliability",
        "Is the model as sure as it should be?",
        summary,
        vega.spec(chart, summary),
        Table(
            "Confidence and accuracy of the test images by confidence",
            ["Confidence above", "up to", "Images", "Mean confidence", "Right"],
            [
                [
                    formats.percent(part.low),
                    formats.percent(part.high),
                    formats.count(part.count),
                    formats.percent(part.confidence),
                    formats.percent(part.accuracy),
                ]
                for part in calibration.bins
            ],
            range(1, 5),
        ),
    )


def coverage(calibration: Calibration, overall: Slice | None) -> vega.Chart:
    """Accuracy on what is accepted against how much is: a risk-coverage curve, El-Yaniv (2010)."""
    rows = [
        {
            "coverage": vega.finite(point.coverage),
            "accuracy": vega.finite(point.accuracy),
            "tip": f"From a confidence of {formats.percent(point.threshold)} the model decides"
            f" {formats.percent(point.coverage)}, right in {formats.percent(point.accuracy)}",
        }
        for point in calibration.coverage
    ]
    base = vega.chart(rows).encode(
        x=alt.X("coverage:Q", title="Share that the model decides", axis=vega.SHARE_AXIS),
        y=alt.Y(
            "accuracy:Q",
            title="Share of those that is right",
            axis=vega.SHARE_AXIS,
            scale=alt.Scale(zero=False),
        ),
        tooltip="tip:N",
    )
    summary = (
        "What is gained if a person decides where the model is unsure: the further to the left,"
        " the more is left to the person."
    )
    layers = [base.mark_line(), base.mark_point(filled=True, size=24, opacity=1)]
    if overall and overall.coverage is not None and overall.selective_accuracy is not None:
        here = [{"coverage": overall.coverage, "accuracy": overall.selective_accuracy}]
        chosen = vega.chart(here).encode(x="coverage:Q", y="accuracy:Q")
        layers.append(chosen.mark_point(size=130, strokeWidth=2, opacity=1))
        summary += " The ring is what the model itself calls sure."
    chart = alt.layer(*layers)
    return vega.Chart(
        "coverage",
        "What if unsure predictions are left to a person?",
        summary,
        vega.spec(chart, summary),
        Table(
            "What the model decides from each confidence on",
            ["Least confidence", "The model decides", "Right of those"],
            [
                [
                    formats.percent(point.threshold),
                    formats.percent(point.coverage),
                    formats.percent(point.accuracy),
                ]
                for point in calibration.coverage
            ],
            [1, 2],
        ),
    )


# --- training and history -------------------------------------------------------------


def training(course: Training) -> list[vega.Chart]:
    """Loss and accuracy by epoch on both splits."""
    figures = Table(
        "Loss and accuracy by epoch",
        ["Epoch", "Phase", "Training loss", "Eval loss", "Training accuracy", "Eval accuracy"],
        [
            [
                formats.count(epoch.number),
                epoch.phase,
                formats.decimal(epoch.loss),
                formats.decimal(epoch.eval_loss),
                formats.percent(epoch.accuracy),
                formats.percent(epoch.eval_accuracy),
            ]
            for epoch in course.epochs
        ],
        range(2, 6),
    )
    charts = []
    for key, title, axis in (
        ("loss", "Loss", alt.Axis(tickCount=5)),
        ("accuracy", "Accuracy", vega.SHARE_AXIS),
    ):
        chart = _curves(course, key, title, axis)
        summary = (
            f"{title} on the training and the eval split after each epoch. Ringed dots are the"
            " epochs whose weights were kept."
        )
        charts.append(
            vega.Chart(f"training-{key}", title, summary, vega.spec(chart, summary), figures)
        )
    return charts


def _curves(training: Training, key: str, title: str, axis: alt.Axis) -> vega.Drawn:
    kept = {phase.kept_epoch for phase in training.phases}
    rows = [
        {
            "epoch": epoch.number,
            "split": split,
            "value": vega.finite(value),
            "kept": split == "Eval" and epoch.number in kept,
            "tip": f"Epoch {epoch.number} ({epoch.phase}), {split.lower()}: "
            + (formats.decimal(value) if key == "loss" else formats.percent(value)),
        }
        for epoch in training.epochs
        for split, value in (
            ("Training", getattr(epoch, key)),
            ("Eval", getattr(epoch, f"eval_{key}")),
        )
    ]
    starts: dict[str, int] = {}
    for epoch in training.epochs:
        starts.setdefault(epoch.phase, epoch.number)
    last = training.epochs[-1].number
    x = alt.X(
        "epoch:Q",
        title="Epoch",
        axis=alt.Axis(format="d", values=list(range(1, last + 1)), grid=False),
        scale=alt.Scale(domain=[0.5, last + 0.5], nice=False),
    )
    scale = alt.Scale(
        domain=["Training", "Eval"],
        range=["var(--series-2)", "var(--series-1)"],
    )
    base = vega.chart(rows).encode(
        x=x,
        y=alt.Y("value:Q", title=title, axis=axis, scale=alt.Scale(zero=False)),
        color=alt.Color("split:N", scale=scale, legend=_LINES),
    )
    phases = vega.chart([{"phase": name, "from": start - 0.5} for name, start in starts.items()])
    dashes = alt.Scale(domain=["Training", "Eval"], range=[[5, 3], [1, 0]])
    dash = alt.StrokeDash("split:N", scale=dashes, legend=_LINES)
    return alt.layer(
        phases.mark_rule(color="var(--line)").encode(x="from:Q"),
        phases.mark_text(align="left", baseline="top", dx=5, y=0).encode(
            x="from:Q", text="phase:N"
        ),
        base.mark_line().encode(strokeDash=dash),
        base.mark_point(filled=True, size=24, opacity=1).encode(tooltip="tip:N"),
        base.transform_filter("datum.kept").mark_point(size=130, strokeWidth=2, opacity=1),
    )


def history(runs: Sequence[Record], this: str) -> vega.Chart:
    """Accuracy of one run after the other, over all test images and by tranche."""
    judged = [run for run in runs if run.accuracy is not None]
    every = "All test images"
    rows = [
        {
            "started": formats.stamp(run.started),
            "of": name,
            "accuracy": vega.finite(value),
            "pushed": run.verdict in PUSHED,
            "tip": f"{formats.stamp(run.started)}, {name}: {formats.percent(value)},"
            f" {run.verdict.replace('_', ' ')}",
        }
        for run in judged
        for name, value in (
            (every, run.accuracy),
            *(
                (f"Tranche {tranche}", metrics.accuracy)
                for tranche, metrics in run.by_tranche.items()
            ),
        )
    ]
    names = list(dict.fromkeys(row["of"] for row in rows))
    here = [
        {"started": formats.stamp(run.started), "text": "this run"}
        for run in judged
        if run.run_id == this
    ]
    colours = ["var(--ink)", *vega.colours([str(number) for number in range(1, len(names))])]
    base = vega.chart(rows).encode(
        x=alt.X("started:O", title="Start of the run (UTC)", axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("accuracy:Q", title="Accuracy", axis=vega.SHARE_AXIS, scale=alt.Scale(zero=False)),
        color=alt.Color("of:N", scale=alt.Scale(domain=names, range=colours), legend=_LINES),
    )
    marker = vega.chart(here).encode(x="started:O")
    chart = alt.layer(
        marker.mark_rule(color="var(--muted)", strokeDash=[4, 4]),
        marker.mark_text(baseline="top", align="right", dx=-5, y=0).encode(text="text:N"),
        base.mark_line(),
        base.mark_point(size=70, strokeWidth=2, opacity=1, fill="var(--surface)").encode(
            tooltip="tip:N"
        ),
        base.transform_filter("datum.pushed")
        .mark_point(size=70, filled=True, opacity=1)
        .encode(tooltip="tip:N"),
    )
    summary = (
        "Accuracy of the runs in this output folder. Filled dots are models that were pushed,"
        " hollow ones were not."
    )
    return vega.Chart("history", "Accuracy over the runs", summary, vega.spec(chart, summary))
