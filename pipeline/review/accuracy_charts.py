"""The accuracy of one run after another."""

from collections.abc import Sequence

import altair as alt

from pipeline.review import formats, vega
from pipeline.review.section import Chart, Table
from pipeline.runs.record import Record
from pipeline.runs.verdict import PUSHED
from schema import features


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
