"""The accuracy of slices, and of one run after another."""

from collections.abc import Sequence

import altair as alt

from pipeline.review import formats, vega
from pipeline.review.contents import Slice, SliceGroup
from pipeline.review.section import Chart, Table
from pipeline.runs.record import Record
from pipeline.runs.verdict import PUSHED
from schema import features


def slices(key: str, group: SliceGroup, overall: Slice) -> Chart:
    """A dot and an interval for each slice, and a line at the accuracy on all test images.

    Args:
      key: of the chart.
      group: the slices.
      overall: the whole test split.
    """
    rows = [
        {
            "name": part.name,
            "accuracy": vega.finite(part.accuracy),
            "low": vega.finite(part.low),
            "high": vega.finite(part.high),
            "tip": f"{part.name}: {formats.percent(part.accuracy)} of"
            f" {formats.count(part.count)} images; 95 % interval"
            f" {formats.between(part.low, part.high)}",
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
    # The filters of the table set which slices are shown.
    shown = alt.param(name="shown", value=names)
    chart = layers.add_params(shown).transform_filter("indexof(shown, datum.name) >= 0")
    summary = (
        f"Accuracy by {group.title.lower()}, with 95 % intervals. The dashed line is the accuracy"
        f" on all test images, {formats.percent(overall.accuracy)}."
    )
    return Chart(key, f"Accuracy by {group.title.lower()}", summary, vega.spec(chart, summary))


def history(runs: Sequence[Record], this: str) -> Chart:
    """Accuracy of one run after another, on all test images and by tranche."""
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
    names = [every, *(f"Tranche {tranche}" for tranche in _tranches(judged))]
    here = [
        {"started": formats.stamp(run.started), "text": "this run"}
        for run in judged
        if run.run_id == this
    ]
    colours = ["var(--ink)", *vega.colours([str(number) for number in range(1, len(names))])]
    base = vega.chart(rows).encode(
        x=alt.X("started:O", title="Start of the run (UTC)", axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("accuracy:Q", title="Accuracy", axis=vega.SHARE_AXIS, scale=alt.Scale(zero=False)),
        color=alt.Color("of:N", scale=alt.Scale(domain=names, range=colours), legend=vega.LINES),
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
        "Accuracy of the runs in this output folder. Filled dots are models that were pushed;"
        " hollow ones were not."
    )
    return Chart("history", "Accuracy over the runs", summary, vega.spec(chart, summary))


def history_table(history: Sequence[Record], this: str) -> Table:
    """All runs of an output folder, one a row."""
    tranches = _tranches(history)
    columns = ["Started (UTC)", "Run", "Verdict", "Model", "Test images", "Accuracy"]
    columns += [f"Tranche {tranche}" for tranche in tranches]
    return Table(
        "Runs of this output folder, oldest first",
        columns,
        [
            [
                formats.stamp(run.started),
                f"{run.run_id} (this run)" if run.run_id == this else run.run_id,
                run.verdict.replace("_", " "),
                formats.ABSENT if run.model is None else str(run.model),
                formats.count(run.metrics["overall"].example_count if run.metrics else 0),
                formats.percent(run.accuracy),
                *(
                    formats.percent(
                        run.by_tranche[tranche].accuracy if tranche in run.by_tranche else None
                    )
                    for tranche in tranches
                ),
            ]
            for run in history
        ],
        range(4, len(columns)),
    )


def _tranches(history: Sequence[Record]) -> list[str]:
    named = {tranche for run in history for tranche in run.by_tranche}
    return sorted(named, key=features.tranche_order)
