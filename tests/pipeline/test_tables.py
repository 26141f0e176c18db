"""Tables in the terminal: at 40 and 80 columns and in a pipe, nothing in them is cut."""

import io
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from components.crossval.cells import Cell
from components.ingest.master import MatchCounts
from components.ingest.tfrecords import ConversionCounts, TFRecordsReport
from components.serving.tflite import export as device
from components.serving.tflite.check import Latency, Score
from pipeline import tables
from pipeline.commands import crossval, export, master, status, tfrecords
from pipeline.config import PipelineConfig
from pipeline.process import view
from pipeline.runs.record import record
from pipeline.runs.run import Evaluation, Gate, Run, SliceMetrics, Snapshot
from schema import features

ROOT = Path(__file__).resolve().parents[2]
NAME = "20261128T044830Z-9d12ab"
PATH = f"/somewhere/else/{'deliveries/' * 9}output/serving/posture/1763906707"
TRANCHES = ("1", "2", "10", "2026-11-night-shift-b")
COUNTS = (1_234_567, 40_787, 0)


def show_runs(console: Console) -> None:
    run = status.RunStatus(
        NAME, "2026-11-28T04:48:30+00:00", "awaiting_sign_off", {"A": "ran", "B": "cached"}, 12
    )
    status._show_runs(console, [run, run])


def show_models(console: Console) -> None:
    model = status.ModelStatus(
        id=12,
        trained="2026-11-28T04:48:30+00:00",
        blessed=True,
        serves=False,
        accuracy=0.9184,
        lying_recall=0.5217,
        version=f"{NAME}/1763906707",
        pushed=PATH,
        in_service=False,
        withdrawn=True,
        sign_offs=[],
        path="/x",
    )
    status._show_models(console, [model])


def show_counts(console: Console) -> None:
    counts = MatchCounts()
    counts.postures = dict.fromkeys(features.POSTURES, 12_345)
    headings = ("Rows", "Images", "Matched", "Labels without image", "Images without label")
    rows = dict.fromkeys(TRANCHES, (*COUNTS, *COUNTS[:2]))
    master._print_counts("Tables and images", headings, rows)


def show_records(console: Console) -> None:
    reason = f"an image of {PATH} is larger than any camera's"
    counts = ConversionCounts(40_787, 40_786, 1, {}, {reason: 1})
    tfrecords._show(TFRecordsReport(dict.fromkeys(TRANCHES, counts), TRANCHES[:1], ()))


def show_verdict(console: Console) -> None:
    metrics = SliceMetrics(
        example_count=40_787, accuracy=0.912, accuracy_low=0.67, accuracy_high=0.981, coverage=0.9
    )
    places = {name: ((features.TRANCHE, name),) for name in TRANCHES}
    slices = {(): metrics} | {places[name]: metrics for name in TRANCHES[1:]}
    gates = (Gate(kind="accuracy", place=places[TRANCHES[0]], limit=0.75),)
    run = Run(
        snapshot=Snapshot(run_id=NAME, config=PipelineConfig(output_root=Path(PATH)), started=0.0),
        read_evaluation=lambda: Evaluation(slices, gates),
    )
    view.show(record(run), console)


def show_crossval(console: Console) -> None:
    cell = Cell("without class weights", f"tranche {TRANCHES[-1]}", [0.9], [0.03], 0.04, 0.8, 0.99)
    crossval._show([cell], 40_787, 1)


def show_exports(console: Console) -> None:
    score, speed = Score(images=1000, agreed=993, right=912), Latency(p50=12.3, p99=45.6)
    names = ("int8", "float16")
    export._show([device.Model(name, 9, score, {1: speed, 2: speed}, b"x") for name in names])


Shown = Callable[[Console], None]
# What prints a table, and words that have to be whole in it.
PRINTED: dict[Shown, list[str]] = {
    show_runs: [NAME, "awaiting_sign_off", "Components"],
    show_models: ["1763906707", "91.8 %", "52.2 %", "withdrawn", "Lying", "service"],
    show_counts: [*TRANCHES, "1,234,567", "40,787", "without", "Matched", "All"],
    show_records: [*TRANCHES, "40,786", "Rejected", PATH],
    show_verdict: [*TRANCHES, "91.2 %", "67 to 98 %", "not checked"],
    show_crossval: [TRANCHES[-1], "weights", "90.0", "calibration"],
    show_exports: ["float16", "99.3", "91.2", "12.3", "45.6"],
}


@pytest.mark.parametrize("columns", [40, 80, None], ids=["40", "80", "pipe"])
@pytest.mark.parametrize("shown", PRINTED, ids=lambda shown: shown.__name__)
def test_no_name_and_no_figure_is_cut(
    shown: Shown,
    columns: int | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    shown(Console())
    text = capsys.readouterr().out
    assert "…" not in text
    for word in PRINTED[shown]:
        if columns is None or len(word) < 24:
            assert word in re.sub(r"\s+", " ", text) or word in text
        else:
            assert word in re.sub(r"\s|│", "", text) or _folded(word, text)
    if columns and shown is not show_verdict:  # paths and sentences there are not wrapped
        assert max(map(cell_len, text.splitlines())) <= columns


def _folded(word: str, text: str) -> bool:
    """Whether a word is there in pieces, one below the other."""
    for line in text.splitlines():
        for cell in re.split(r"│|  ", line):
            piece = cell.strip()
            if piece and word.startswith(piece):
                word = word[len(piece) :]
    return not word or word in text


cells = st.text(st.characters(codec="utf-8", exclude_categories=("C", "M", "Z")), max_size=60)


@given(
    rows=st.integers(1, 6).flatmap(
        lambda count: st.lists(
            st.lists(cells, min_size=count, max_size=count), min_size=2, max_size=5
        )
    ),
    width=st.integers(30, 200),
    terminal=st.booleans(),
)
def test_every_character_is_printed(rows: list[list[str]], width: int, terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    with mock.patch.dict(os.environ):
        os.environ.pop("COLUMNS", None)
        tables.show(console, rows[0], rows[1:])
    text = stream.getvalue()
    printed = Counter(text)
    wanted = Counter("".join(cell for row in rows[1:] for cell in row))
    assert not {sign for sign in wanted if printed[sign] < wanted[sign]}
    if terminal:
        assert max(map(cell_len, text.splitlines())) <= width
    else:
        assert all(any(cell in line for line in text.splitlines()) for cell in rows[1])


def test_markup_in_a_cell_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(Console(), ["Name"], [["[bold]red[/bold]"]])
    assert "[bold]red[/bold]" in capsys.readouterr().out


def test_the_commands_have_no_other_tables() -> None:
    others = [
        path.relative_to(ROOT)
        for path in (ROOT / "pipeline").rglob("*.py")
        if re.search(r"\bTable\(", path.read_text(encoding="utf-8"))
        and "rich.table" in path.read_text(encoding="utf-8")
    ]
    assert others == [Path("pipeline/tables.py")]
