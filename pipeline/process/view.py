"""What a user sees of a run: the steps while it works, and the verdict at the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from components import command_line
from components.judging.decision import Comparison, Decision
from pipeline import tables
from pipeline.runs.record import Record
from pipeline.runs.run import SliceMetrics, Stage
from pipeline.runs.verdict import MEANINGS, Verdict
from schema import features

_STYLES: Final = {
    "waiting": "dim",
    "running": "bold cyan",
    "ran": "green",
    "cached": "green",
    "failed": "bold red",
    "skipped": "yellow",
}
_COLOURS: Final[dict[Verdict, str]] = {
    "pushed": "bold green",
    "superseded": "bold green",
    "withdrawn": "bold red",
    "awaiting_sign_off": "bold cyan",
    "rejected": "bold yellow",
    "not_blessed": "bold yellow",
    "invalid_data": "bold yellow",
    "failed": "bold red",
    "unfinished": "bold red",
}
_MOST_REASONS: Final = 6
_PLAIN_INTERVAL: Final = 4.0  # seconds between lines of a step, without a terminal


@dataclass
class Row:
    """One step as it is displayed; `doing` is what it does now, in place of `detail`."""

    name: str
    state: str = "waiting"
    started: float = 0.0
    seconds: float = 0.0
    detail: str = ""
    doing: str = ""


@dataclass
class RunView:
    """Shows the worker's events as a live table, or as lines where there is no terminal.

    Events are dicts with the key `event`:
      plan: `stages`, the names of the steps to come.
      stage: `name`, `state`, and perhaps `detail`.
      progress: `stage`, `done`, `total`, and their `unit`.
      note: `text`, a line that stays.
      doing: `what` the running step does now.
      batch: `phase`, `epoch`, `epochs`, `batch`, `batches`.
      epoch: `phase`, `epoch`, `epochs`, `loss`, `accuracy`, `val_loss`, `val_accuracy`.
      trial: `trial`, its number; `loss` of it, and the `best` so far.
    Others are ignored.
    """

    console: Console
    rows: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spinner = Spinner("dots", style=_STYLES["running"])
        self._last_line = 0.0
        self._live: Live | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(
                console=self.console, get_renderable=self.render, refresh_per_second=8
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def handle(self, event: dict[str, Any]) -> None:
        """Shows one event."""
        match event:
            case {"event": "plan", "stages": stages}:
                for name in stages:
                    self.rows.setdefault(name, Row(name))
            case {"event": "stage", "name": name, "state": state}:
                self._change(name, state, event.get("detail", ""))
            case {"event": "progress", "stage": name, "done": done, "total": total, "unit": unit}:
                self._detail(name, _progress_text(done, total, unit), often=True)
            case {"event": "note", "text": text}:
                self._line(text)
            case {"event": "doing", "what": what}:
                self._doing(what)
            case {"event": "batch", "batch": batch, "batches": batches}:
                epoch = f"{event['phase']}, epoch {event['epoch']} of {event['epochs']}"
                self._doing(f"{epoch}: batch {batch} of {batches}", often=True)
            case {"event": "epoch", "phase": phase, "epoch": epoch, "epochs": epochs}:
                self._running_detail(_epoch_text(phase, epoch, epochs, event))
            case {"event": "trial", "trial": number, "loss": loss, "best": best}:
                self._running_detail(f"trial {number}: eval loss {loss:.3f}, best {best:.3f}")

    def remind(self) -> None:
        """Says that the running step goes on, if nothing was said for some seconds."""
        row = self._running
        if row and self._live is None and self._is_due:
            doing = row.doing or row.detail
            detail = f" ({doing})" if doing else ""
            self._line(f"{row.name}: running for {duration(_elapsed(row))}{detail}")

    def stages(self) -> list[Stage]:
        """The steps that began, for a run whose worker can no longer say."""
        return [
            Stage(
                name=row.name,
                state="failed" if row.state == "running" else row.state,
                seconds=round(_elapsed(row), 3),
            )
            for row in self.rows.values()
            if row.state != "waiting"
        ]

    def render(self) -> RenderableType:
        """The live table."""
        table = Table.grid(*(Column(overflow="fold") for _ in range(5)), padding=(0, 2))
        for row in list(self.rows.values()):
            style = _STYLES[row.state]
            running = row.state == "running"
            table.add_row(
                self._spinner if running else Text("·" if row.state == "waiting" else "•", style),
                Text(row.name, style if running else ""),
                Text(row.state, style),
                Text("" if row.state in ("waiting", "skipped") else duration(_elapsed(row))),
                Text(row.doing or row.detail, "dim"),
            )
        return Group(table)

    def _change(self, name: str, state: str, detail: str) -> None:
        row = self.rows.setdefault(name, Row(name))
        if state == "running":
            row.started = time.monotonic()
        else:
            row.seconds = _elapsed(row)
        row.state = state
        row.detail, row.doing = detail or row.detail, ""
        if self._live is None:
            text = f"{name}: {state}"
            if state in ("ran", "cached", "failed"):
                text += f", {duration(row.seconds)}"
            self._line(text + (f" ({detail})" if detail else ""))

    @property
    def _running(self) -> Row | None:
        return next((row for row in self.rows.values() if row.state == "running"), None)

    @property
    def _is_due(self) -> bool:
        return time.monotonic() - self._last_line >= _PLAIN_INTERVAL

    def _running_detail(self, text: str) -> None:
        if running := self._running:
            self._detail(running.name, text)

    def _detail(self, name: str, text: str, *, often: bool = False) -> None:
        row = self.rows.setdefault(name, Row(name))
        row.detail, row.doing = text, ""
        self._progress(row, text, often)

    def _doing(self, text: str, *, often: bool = False) -> None:
        if running := self._running:
            running.doing = text
            self._progress(running, text, often)

    def _progress(self, row: Row, text: str, often: bool) -> None:
        if self._live is None and (self._is_due or not often):
            self._line(f"{row.name}: {text}")

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def show(record: Record, console: Console) -> None:
    """Prints the verdict of a run, its figures and paths.

    Args:
      record: the run.
      console: where to.
    """
    console.print()
    console.print(Text(MEANINGS[record.verdict], _COLOURS[record.verdict]))
    for reason in record.reasons[:_MOST_REASONS]:
        console.print(Text(f"  {reason}"), soft_wrap=True)
    if len(record.reasons) > _MOST_REASONS:
        more = len(record.reasons) - _MOST_REASONS
        console.print(Text(f"  {more} more: see the review page."), soft_wrap=True)
    overall = record.compared(())
    if overall and overall.answer == "untold":
        console.print(Text(f"  {_untold(overall)}"), soft_wrap=True)
    if record.verdict == "awaiting_sign_off":
        run, out = record.run_id, record.paths["output"]
        approve = command_line.lookdeep(
            *("approve", run, "--output-root", out, "--by", "NAME", "--reason", "TEXT")
        )
        reject = command_line.lookdeep(
            *("reject", run, "--output-root", out, "--by", "NAME", "--reason", "TEXT")
        )
        console.print(Text(f"  To approve it: {approve}"), soft_wrap=True)
        console.print(Text(f"  To reject it: {reject}"), soft_wrap=True)
    for finding in record.findings:
        if finding.severity == "warning":
            console.print(Text(f"  Warning: {finding.sentence}", "yellow"), soft_wrap=True)
    if record.metrics:
        _show_accuracy(record, console)
    if record.decision:
        console.print()
        _show_recall(record.decision, record, console)
    if record.plan:
        console.print(record.plan.sentence, highlight=False, soft_wrap=True)
    if record.decision and record.judged:
        console.print(_judged(record.judged), highlight=False, markup=False, soft_wrap=True)
    counts = record.counts
    if counts.rows:
        splits = ", ".join(f"{name} {count:,}" for name, count in counts.splits.items())
        console.print(
            f"{counts.rows:,} rows, {counts.images:,} images of {counts.clips:,} clips,"
            f" {counts.rejected:,} rejected" + (f"; {splits}" if splits else ""),
            highlight=False,
            soft_wrap=True,
        )
    if record.demo:
        console.print(
            "The data is drawn: it shows that the machinery works, not clinical accuracy.",
            style="yellow",
            soft_wrap=True,
        )
    shown = {
        "review": "review page",
        "pushed": "model",
        "evaluation": "evaluation",
        "training": "training",
        "log": "log",
        "record": "record",
    }
    for name, label in shown.items():
        if name in record.paths:
            path = short_path(Path(record.paths[name]))
            console.print(Text(f"{label:<13}{path}"), soft_wrap=True)
    console.print(f"{duration(record.seconds)} to the verdict", highlight=False)


def short_path(path: Path) -> str:
    """A path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # the current folder may have been removed
        return str(path)


def duration(seconds: float) -> str:
    """Writes a time span: `0.3 s`, `42 s`, `3 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _show_accuracy(record: Record, console: Console) -> None:
    # run.json has the other slices.
    judged = record.by_tranche
    unchecked = [
        gate.place[0][1]
        for gate in record.gates
        if gate.kind == "accuracy" and gate.place and gate.passed is None
    ]
    rows = [_accuracy_row("overall", record.metrics["overall"], record.compared(()))]
    for name in sorted({*judged, *unchecked}, key=features.tranche_order):
        compared = record.compared(((features.TRANCHE, name),))
        rows.append(_accuracy_row(f"tranche {name}", judged.get(name), compared))
    headings = ("Slice", "Images", "Accuracy", "95 % interval", "Sure of")
    _show_compared(headings, rows, record, console)


def _show_recall(decision: Decision, record: Record, console: Console) -> None:
    rows = [
        (
            each.posture,
            f"{each.images:,}",
            f"{each.recall * 100:.1f} %",
            f"{each.low * 100:.0f} to {each.high * 100:.0f} %",
            f"{each.floor * 100:.0f} %",
            _difference(record.compared(((features.POSTURE, each.posture),))),
        )
        for each in sorted(decision.recalls, key=lambda each: each.posture != features.LYING)
    ]
    headings = ("Posture", "Images", "Recall", "95 % interval", "Floor")
    _show_compared(headings, rows, record, console)


def _show_compared(
    headings: Sequence[str], rows: Sequence[tuple[str, ...]], record: Record, console: Console
) -> None:
    """Prints a table; its last column, the difference, only if there is a model to differ from."""
    caption = ""
    if record.compared(()):
        caption = "Difference: from the model in service, with its 95 % interval."
        headings = (*headings, "Difference, points")
    else:
        rows = [row[:-1] for row in rows]
    tables.show(console, headings, rows, numbers=range(1, 6), caption=caption)


def _accuracy_row(
    name: str, metrics: SliceMetrics | None, compared: Comparison | None
) -> tuple[str, ...]:
    if metrics is None:
        return name, "0", "not checked", "", "", ""
    low, high = metrics.accuracy_low, metrics.accuracy_high
    return (
        name,
        f"{metrics.example_count:,}",
        f"{metrics.accuracy * 100:.1f} %",
        "" if low is None or high is None else f"{low * 100:.0f} to {high * 100:.0f} %",
        "" if metrics.coverage is None else f"{metrics.coverage * 100:.1f} %",
        _difference(compared),
    )


def _difference(compared: Comparison | None) -> str:
    """A difference in points, with its interval."""
    if compared is None:
        return ""
    difference, low, high = (
        f"{share * 100:+.1f}" for share in (compared.difference, compared.low, compared.high)
    )
    return f"{difference} ({low} to {high})"


def _untold(compared: Comparison) -> str:
    """Says that the test clips leave open whether the model is worse than the one in service."""
    clips = f"{compared.clips:,} clip" + ("" if compared.clips == 1 else "s")
    margin = (compared.margin or 0) * 100
    return (
        f"Whether it is more than {margin:.1f} points worse than the model in service cannot be"
        f" told from {clips}."
    )


def _judged(judged: dict[str, int]) -> str:
    """Says how many models the test clips have judged."""
    counts = ", ".join(f"{count} in tranche {tranche}" for tranche, count in judged.items())
    if len(set(judged.values())) == 1:
        counts = str(next(iter(judged.values())))
    return f"Models that these test clips have judged by now, this one included: {counts}."


def _progress_text(done: int, total: int, unit: str) -> str:
    if unit == "bytes":
        return f"{done / 2**20:,.1f} of {total / 2**20:,.1f} MiB"
    return f"{done:,} of {total:,} {unit}"


def _epoch_text(phase: str, epoch: int, epochs: int, figures: dict[str, Any]) -> str:
    names = {
        "loss": "loss",
        "accuracy": "accuracy",
        "val_loss": "eval loss",
        "val_accuracy": "eval accuracy",
    }
    parts = [f"{label} {figures[key]:.3f}" for key, label in names.items() if key in figures]
    return f"{phase.replace('_', '-')} epoch {epoch}/{epochs}: " + ", ".join(parts)


def _elapsed(row: Row) -> float:
    return time.monotonic() - row.started if row.state == "running" else row.seconds
