"""Compares the default recipe with two simpler ones, on clips and tranches held out.

    python -m benchmarks.crossval [--data ../shared/data] [--seeds 5] [--folder output] [--record]

Runs `lookdeep crossval`, which prints the table. Finished trainings stay in the folder, and the
same command continues after them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks import figures, goals, stages
from benchmarks.goals import Goal
from components import processes

DEFAULT: Final = "default"
SIMPLER: Final = ("logistic", "plain")
LEAST_ACCURACY: Final = {"clips": 0.95, "tranche 1": 0.90, "tranche 2": 0.94, "tranche 3": 0.98}
MOST_CALIBRATION_ERROR: Final = {"clips": 0.04, **dict.fromkeys(list(LEAST_ACCURACY)[1:], 0.06)}


def judge(cells: Sequence[dict[str, Any]]) -> Iterator[Goal]:
    """Compares means over the seeds with the goals, and with the simpler recipes.

    Args:
      cells: of `crossval.json`.
    """
    found = {(cell["recipe"], cell["held_out"]): cell for cell in cells}
    for way, least in LEAST_ACCURACY.items():
        cell = found[DEFAULT, way]
        accuracy = fmean(cell["accuracies"])
        yield Goal.at_least(f"accuracy, {way}", accuracy, least)
        for recipe in SIMPLER:
            more = accuracy - fmean(found[recipe, way]["accuracies"])
            yield Goal.at_least(f"accuracy less that of {recipe}, {way}", more, 0)
        error = fmean(cell["calibration_errors"])
        most = MOST_CALIBRATION_ERROR[way]
        yield Goal.at_most(f"calibration error, {way}", error, most)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and the goals."""
    parser = figures.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("output"), help="keeps the trainings")
    given = parser.parse_args(arguments)
    data = given.data.resolve()
    command = [*processes.python("pipeline.commands.script"), "crossval"]
    command += ["--seeds", str(given.seeds), "--output-root", str(given.folder)]
    command += ["--data-root", str(data / "tranches")]
    command += ["--base-weights", str(stages.weights(data))]
    for recipe in (DEFAULT, *SIMPLER):
        command += ["--recipe", recipe]
    ended = subprocess.run(command, env=processes.environment())  # noqa: S603 (a command of ours)
    if ended.returncode:
        sys.exit(ended.returncode)
    found = json.loads((given.folder / "crossval" / "crossval.json").read_text(encoding="utf-8"))
    goals.show(judge(found["cells"]))
    if given.record:
        recorded: dict[str, dict[str, dict[str, float]]] = {}
        for cell in found["cells"]:
            recorded.setdefault(cell["recipe"], {})[cell["held_out"]] = {
                "accuracy": fmean(cell["accuracies"]),
                "calibration_error": fmean(cell["calibration_errors"]),
                "calibration_error_by_chance": cell["calibration_error_by_chance"],
            }
        figures.record("crossval", recorded)


if __name__ == "__main__":
    main()
