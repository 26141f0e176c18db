"""The measured figures that the documents quote, in one file: benchmarks/figures.json.

    python -m benchmarks.figures run OUTPUT --as demo
    python -m benchmarks.figures set tests --command "make test" count=1005 seconds=452

A benchmark writes its figures there with `--record`. The commands above write what no benchmark
measures: `run` reads the figures of a finished pipeline run from its run.json, `set` takes any
others. Each record replaces the earlier one of its name.

A document marks a figure with an HTML comment right after it, which names it in the file:

    accuracy 0.918<!--demo.accuracy-->

A mark that names a group of figures stands after the last of them and covers all of them, in the
file's order. tests/docs/test_figures.py compares them, and README.md and docs/benchmarks.md may
have no figure without a mark in their tables of figures.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from components.errors import InputError
from pipeline.runs import record as run_record

FILE: Final = Path(__file__).with_name("figures.json")
RECORD: Final = "--record"
DECIMALS: Final = 6  # more than documents quote, so that nothing is rounded twice

# Numbers by name, or groups of them.
Figures = Mapping[str, Any]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark: where the photos are, and whether to record.

    Args:
      doc: the benchmark's docstring; its first line is the description.
    """
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data"),
        help="folder with tranches/ and weights/",
    )
    add_record_option(made)
    return made


def add_record_option(to: argparse.ArgumentParser) -> None:
    """Adds `--record` to a command line."""
    to.add_argument(RECORD, action="store_true", help="write the figures to figures.json")


def record(name: str, figures: Figures, command: str | None = None) -> None:
    """Writes figures with today's date, this machine's cores and the command.

    Args:
      name: what they are figures of; replaces its earlier record.
      figures: numbers in the units that the documents use; seconds for durations.
      command: how they were measured; None for the command of this process.
    """
    records = read()
    records[name] = {
        "command": command or _own_command(),
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "figures": _rounded(figures),
    }
    content = json.dumps(dict(sorted(records.items())), indent=2) + "\n"
    FILE.write_text(content, encoding="utf-8")


def read() -> dict[str, Any]:
    """All records, by name."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def of_run(output_root: Path) -> Figures:
    """The figures of the last run in an output folder.

    Raises:
      InputError: there is none, or it did not get as far as an evaluation.
    """
    run = run_record.read(output_root / "run.json")
    if run is None or run.accuracy is None:
        raise InputError(f"There is no evaluated run in {output_root}.")
    overall = run.metrics["overall"]
    return {
        "accuracy": run.accuracy,
        "accuracy_interval": {"low": overall.accuracy_low, "high": overall.accuracy_high},
        "images": overall.example_count,
        "accuracy_by_tranche": {name: metrics.accuracy for name, metrics in run.by_tranche.items()},
        "coverage": overall.coverage,
        "seconds": run.seconds,
    }


def _own_command() -> str:
    module = getattr(sys.modules["__main__"], "__spec__", None)
    words = [word for word in sys.argv[1:] if word != RECORD]
    return shlex.join(["python", "-m", module.name if module else sys.argv[0], *words])


def _rounded(figures: Any) -> Any:
    if isinstance(figures, Mapping):
        return {name: _rounded(value) for name, value in figures.items()}
    return figures if isinstance(figures, int) else round(float(figures), DECIMALS)


def _figure(assignment: str) -> tuple[str, float]:
    """Reads NAME=NUMBER."""
    name, _, value = assignment.partition("=")
    return name, float(value) if "." in value else int(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Records the figures of a run, or figures given by hand."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    ways = made.add_subparsers(required=True, dest="way")
    run = ways.add_parser("run", help="figures of a finished run")
    run.add_argument("output_root", type=Path)
    run.add_argument("--as", dest="name", required=True)
    run.add_argument("--command", default="make run")
    by_hand = ways.add_parser("set", help="figures that no benchmark measures")
    by_hand.add_argument("name")
    by_hand.add_argument("--command", required=True)
    by_hand.add_argument("figures", nargs="+", type=_figure, metavar="NAME=NUMBER")
    given = made.parse_args(arguments)
    if given.way == "run":
        record(given.name, of_run(given.output_root), given.command)
    else:
        record(given.name, dict(given.figures), given.command)


if __name__ == "__main__":
    main()
