"""How the model was trained."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from components.training.calibration import Calibration
from components.training.model_run import HISTORY
from pipeline.review import formats, vega
from pipeline.review.section import Chart, Section, Table
from schema import features


@dataclass(frozen=True)
class Epoch:
    """One pass over the training split; `number` counts through all phases from 1."""

    phase: str
    number: int
    loss: float  # nats
    accuracy: float
    eval_loss: float
    eval_accuracy: float


@dataclass(frozen=True)
class PhaseSummary:
    """One phase of the training."""

    name: str
    epochs: int  # that were run
    most_epochs: int  # that were allowed
    learning_rate: float  # the highest of it
    kept_epoch: int  # whose weights were kept; `Epoch.number`


@dataclass(frozen=True)
class Training(Section):
    """How the model was trained.

    Attributes:
      phases: in order.
      epochs: of all phases, in order.
      class_weights: by posture; None if the classes were not weighted.
      images: training images in one epoch.
      seconds: duration of the Trainer, in the run that trained the model.
      cached: whether that was an earlier run.
    """

    phases: list[PhaseSummary]
    epochs: list[Epoch]
    class_weights: dict[str, float] | None
    images: int
    seconds: float
    cached: bool

    def tables(self) -> dict[str, Table]:
        """Phases and class weights."""
        return {
            "phases": Table(
                "Phases of the training",
                ["Phase", "Epochs", "At most", "Stopped early", "Learning rate", "Kept epoch"],
                [
                    [
                        phase.name,
                        formats.count(phase.epochs),
                        formats.count(phase.most_epochs),
                        "Yes" if phase.epochs < phase.most_epochs else "No",
                        formats.rate(phase.learning_rate),
                        formats.count(phase.kept_epoch),
                    ]
                    for phase in self.phases
                ],
                [1, 2, 4, 5],
            ),
            "class-weights": Table(
                "Weights of the classes in the loss",
                ["Posture", "Weight"],
                [
                    [posture, formats.decimal(weight, 2)]
                    for posture, weight in (self.class_weights or {}).items()
                ],
                [1],
            ),
        }

    def charts(self) -> list[Chart]:
        """Loss and accuracy by epoch on the training and the eval split."""
        if not self.epochs:
            return []
        figures = Table(
            "Loss and accuracy by epoch, on the training and the eval split",
            ["Epoch", "Phase", "Loss (nats)", "Eval loss", "Accuracy", "Eval accuracy"],
            [
                [
                    formats.count(epoch.number),
                    epoch.phase,
                    formats.decimal(epoch.loss),
                    formats.decimal(epoch.eval_loss),
                    formats.percent(epoch.accuracy),
                    formats.percent(epoch.eval_accuracy),
                ]
                for epoch in self.epochs
            ],
            range(2, 6),
        )
        charts = []
        for key, title, axis in (
            ("loss", "Loss (nats)", alt.Axis(tickCount=5)),
            ("accuracy", "Accuracy", vega.SHARE_AXIS),
        ):
            chart, rows = _curves(self, key, title, axis)
            summary = (
                f"{title} on the training and the eval split after each epoch. Rings mark the"
                " epochs whose weights were kept."
            )
            drawn = vega.drawn(chart, summary, rows, len(self.epochs))
            charts.append(Chart(f"training-{key}", title, *drawn, figures))
        return charts


def fitted(model_run: Path) -> Calibration:
    """Reads what was fitted on the eval split after the training.

    Args:
      model_run: folder of the Trainer's `model_run` artifact.
    """
    return Calibration(**_history(model_run)["calibration"])


def training(model_run: Path, seconds: float, cached: bool) -> Training:
    """Reads the history of a training.

    Args:
      model_run: folder of the Trainer's `model_run` artifact.
      seconds: duration of the Trainer, when it trained.
      cached: whether that was in an earlier run.
    """
    history = _history(model_run)
    epochs: list[Epoch] = []
    phases = []
    for name, phase in history["phases"].items():
        before = len(epochs)
        epochs += [
            Epoch(
                phase=name,
                number=number,
                loss=row["loss"],
                accuracy=row["accuracy"],
                eval_loss=row["val_loss"],
                eval_accuracy=row["val_accuracy"],
            )
            for number, row in enumerate(phase["epochs"], start=before + 1)
        ]
        phases.append(
            PhaseSummary(
                name=name,
                epochs=len(phase["epochs"]),
                most_epochs=phase["most_epochs"],
                learning_rate=phase["learning_rate"],
                kept_epoch=before + phase["kept_epoch"],
            )
        )
    weights = history["class_weights"]
    return Training(
        phases=phases,
        epochs=epochs,
        class_weights=weights
        and {features.POSTURES[int(index)]: weight for index, weight in weights.items()},
        images=history["examples"],
        seconds=seconds,
        cached=cached,
    )


def _history(model_run: Path) -> dict[str, Any]:
    history: dict[str, Any] = json.loads((model_run / HISTORY).read_text(encoding="utf-8"))
    return history


def _curves(
    training: Training, key: str, title: str, axis: alt.Axis
) -> tuple[vega.Drawn, vega.Rows]:
    """The chart of one measure, and its rows."""
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
        color=alt.Color("split:N", scale=scale, legend=vega.LINES),
    )
    phases = vega.chart([{"phase": name, "from": start - 0.5} for name, start in starts.items()])
    dashes = alt.Scale(domain=["Training", "Eval"], range=[[5, 3], [1, 0]])
    dash = alt.StrokeDash("split:N", scale=dashes, legend=vega.LINES)
    chart = alt.layer(
        phases.mark_rule(color="var(--line)").encode(x="from:Q"),
        phases.mark_text(align="left", baseline="top", dx=5, y=0).encode(
            x="from:Q", text="phase:N"
        ),
        base.mark_line().encode(strokeDash=dash),
        base.mark_point(filled=True, size=24, opacity=1).encode(tooltip="tip:N"),
        base.transform_filter("datum.kept").mark_point(size=130, strokeWidth=2, opacity=1),
    )
    return chart, rows
