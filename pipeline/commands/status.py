"""The command `lookdeep status`: the runs and models of an output folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from pipeline import tables
from pipeline.commands.cli import output_root_option

if TYPE_CHECKING:
    from pipeline.runs.run import Run


@dataclass(frozen=True)
class RunStatus:
    """One run.

    Attributes:
      run_id: its name.
      started: ISO 8601, UTC.
      verdict: see `pipeline.runs.verdict.MEANINGS`.
      components: state by component; empty if the run ended before the pipeline.
      model: number of its model in ML Metadata, if it has one.
    """

    run_id: str
    started: str
    verdict: str
    components: dict[str, str]
    model: int | None


@dataclass(frozen=True)
class ModelStatus:
    """One model, as the last run that dealt with it left it.

    Attributes:
      id: its number in ML Metadata.
      trained: ISO 8601, UTC.
      blessed: whether the Evaluator blessed it; None if it did not judge it.
      serves: whether the ServingCheck blessed it.
      pushed: the folder of its newest version that is there.
      in_service: whether a server reads that version now.
      path: the folder it was trained to.
    """

    id: int
    trained: str
    blessed: bool | None
    serves: bool | None
    pushed: str | None
    in_service: bool
    path: str


@click.command()
@output_root_option("Output folder of the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(output_root: Path, as_json: bool) -> None:
    """List the runs of an output folder, their models and what the gates said."""
    from components import processes
    from pipeline.runs.reader import Runs
    from pipeline.runs.verdict import MEANINGS

    processes.hush_libraries()
    found = Runs(output_root.absolute())
    found.last()  # says so if there is none
    for run_id in found.forgotten:
        click.echo(
            f"{found.config.metadata_store} does not know run {run_id}: the run ended too early, or"
            " the database is not the one that belongs to this folder.",
            err=True,
        )
    read = list(found)
    runs, models = list(map(_run, read)), _models(read)
    if as_json:
        content = {
            "runs": [asdict(run) for run in runs],
            "models": [asdict(model) for model in models],
        }
        click.echo(json.dumps(content, indent=2))
        return
    console = Console()
    _show_runs(console, runs)
    for verdict, meaning in MEANINGS.items():
        if verdict in {run.verdict for run in runs}:
            console.print(meaning, highlight=False)
    _show_models(console, models)


def _run(run: "Run") -> RunStatus:
    from pipeline.runs.record import moment
    from pipeline.runs.verdict import verdict

    return RunStatus(
        run_id=run.id,
        started=moment(run.snapshot.started),
        verdict=verdict(run),
        components={
            stage.name: stage.state for stage in run.components if stage.state != "skipped"
        },
        model=run.model.id if run.model else None,
    )


def _models(runs: "list[Run]") -> list[ModelStatus]:
    from pipeline.runs.record import moment

    models: dict[int, ModelStatus] = {}
    for run in runs:
        model = run.model
        if model is None:
            continue
        earlier = models.get(model.id)
        blessed, serves = run.blessed, run.serves
        if earlier:
            # A run that broke off says nothing new about what an earlier one judged.
            blessed = earlier.blessed if blessed is None else blessed
            serves = earlier.serves if serves is None else serves
        versions = [each for each in run.versions if each.holds(model.id, model.created)]
        models[model.id] = ModelStatus(
            id=model.id,
            trained=moment(model.created / 1000),
            blessed=blessed,
            serves=serves,
            pushed=str(versions[-1].folder) if versions else None,
            in_service=bool(versions) and versions[-1] == run.in_service,
            path=model.uri,
        )
    return [models[number] for number in sorted(models)]


def _show_runs(console: Console, runs: list[RunStatus]) -> None:
    rows = []
    for run in runs:
        states = list(run.components.values())
        parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        model = "" if run.model is None else str(run.model)
        rows.append((run.run_id, _short(run.started), run.verdict, ", ".join(parts), model))
    headings = ("Run", "Started (UTC)", "Verdict", "Components", "Model")
    tables.show(console, headings, rows, title="Runs")


def _show_models(console: Console, models: list[ModelStatus]) -> None:
    headings = ("Model", "Trained (UTC)", "Blessed", "Serves", "In service", "Pushed to")
    rows = [
        (
            str(model.id),
            _short(model.trained),
            _answer(model.blessed),
            _answer(model.serves),
            "yes" if model.in_service else "",
            model.pushed or "",
        )
        for model in models
    ]
    tables.show(console, headings, rows, title="Models")


def _answer(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]


def _short(time: str) -> str:
    return time[:16].replace("T", " ")
