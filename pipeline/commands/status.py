"""The command `lookdeep status`: runs, models and blessings, out of ML Metadata."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.commands.cli import output_root_option
from pipeline.runs.record import moment

if TYPE_CHECKING:
    from pipeline.runs.lineage import Lineage, Outputs


@dataclass(frozen=True)
class RunStatus:
    """One run.

    Attributes:
      run_id: its name.
      started: ISO 8601, UTC.
      verdict: as in run.json, or `unfinished` if it was stopped or is still running.
      components: state by component; those without an entry were skipped, all of them if
        the run ended before the pipeline.
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
      blessed: the Evaluator's judgement; None if there is none.
      serves: the ServingCheck's.
      pushed: the folder it was pushed to.
      path: the folder it was trained to.
    """

    id: int
    trained: str
    blessed: bool | None
    serves: bool | None
    pushed: str | None
    path: str


@click.command()
@output_root_option("Output folder of the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(output_root: Path, as_json: bool) -> None:
    """List the runs of an output folder, their models and what the gates said."""
    from pipeline.runs import snapshot
    from pipeline.runs.lineage import Lineage, has_database

    config = snapshot.settings(output_root.absolute())
    runs: list[RunStatus] = []
    models: list[ModelStatus] = []
    # Without a database there may be runs that stopped before it, or nothing to list.
    if has_database(config) or not snapshot.runs(config.output_root):
        runs, models = read(Lineage(config))
    runs += _stopped(config.output_root, [run.run_id for run in runs])
    runs.sort(key=lambda run: run.run_id)  # in the order of their beginning
    if as_json:
        content = {
            "runs": [asdict(run) for run in runs],
            "models": [asdict(model) for model in models],
        }
        click.echo(json.dumps(content, indent=2))
        return
    console = Console()
    console.print(_run_table(runs))
    console.print(_model_table(models))


def read(lineage: "Lineage") -> tuple[list[RunStatus], list[ModelStatus]]:
    """Reads all runs and models.

    Args:
      lineage: the database.

    Returns:
      Both, oldest first.
    """
    runs = []
    models: dict[int, ModelStatus] = {}
    for run in lineage.runs():
        states = lineage.states(run)
        outputs = lineage.outputs(run)
        model = outputs.get(("Trainer", "model"))
        runs.append(
            RunStatus(
                run_id=run.name,
                started=moment(run.create_time_since_epoch / 1000),
                verdict=verdict(states, outputs),
                components=states,
                model=model.id if model else None,
            )
        )
        if model:
            models[model.id] = _model(models.get(model.id), model.id, outputs)
    return runs, [models[number] for number in sorted(models)]


def _stopped(output_root: Path, known: list[str]) -> list[RunStatus]:
    """The runs that ended before the pipeline, for example at an unknown label."""
    from pipeline.runs import snapshot

    return [
        RunStatus(
            run_id=run.run_id,
            started=moment(run.started),
            verdict=run.verdict or "unfinished",
            components={},
            model=None,
        )
        for run in snapshot.stopped(output_root, known)
    ]


def verdict(states: dict[str, str], outputs: "Outputs") -> str:
    """What a run came to, as in run.json, or `unfinished`.

    Args:
      states: of its components, `Lineage.states`.
      outputs: its artifacts.
    """
    from pipeline.runs import outcome

    if "failed" in states.values():
        return "failed"
    if outcome.gate_refused(outputs):
        return "invalid_data"
    if outcome.pushed_model(outputs):
        return "pushed"
    if "running" in states.values() or "Pusher" not in states:
        return "unfinished"
    return "not_blessed"


def _model(earlier: ModelStatus | None, number: int, outputs: "Outputs") -> ModelStatus:
    from pipeline.runs import outcome

    model = outputs["Trainer", "model"]
    blessed, serves = outcome.blessed(outputs), outcome.serves(outputs)
    pushed = outcome.pushed_model(outputs)
    destination = pushed.properties["pushed_destination"] if pushed else None
    if earlier:
        # A run that broke off says nothing new about what an earlier one judged.
        blessed = earlier.blessed if blessed is None else blessed
        serves = earlier.serves if serves is None else serves
        destination = destination or earlier.pushed
    return ModelStatus(
        number, moment(model.created / 1000), blessed, serves, destination, model.uri
    )


def _run_table(runs: list[RunStatus]) -> Table:
    table = Table("Run", "Started", "Verdict", "Components", "Model", title="Runs")
    for run in runs:
        states = list(run.components.values())
        parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        table.add_row(
            run.run_id,
            _short(run.started),
            run.verdict,
            ", ".join(parts),
            "" if run.model is None else str(run.model),
        )
    return table


def _model_table(models: list[ModelStatus]) -> Table:
    table = Table("Model", "Trained", "Blessed", "Serves", "Pushed to", title="Models")
    for model in models:
        table.add_row(
            str(model.id),
            _short(model.trained),
            _answer(model.blessed),
            _answer(model.serves),
            Text(model.pushed or "", overflow="fold"),
        )
    return table


def _answer(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]


def _short(time: str) -> str:
    return time[:16].replace("T", " ")
