"""The command `lookdeep status`: the runs and models of an output folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from pipeline import tables
from pipeline.commands.cli import output_root_option
from schema import features

if TYPE_CHECKING:
    import pandas as pd

    from components.serving.versions import SignOff
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
      accuracy: on the test images of the last run that asked it, 0 to 1; None if its answers are
        gone.
      lying_recall: the share of those labelled Lying that it finds.
      version: RUN/VERSION of its newest version that is there, as its answers are signed.
      pushed: the folder of that version.
      in_service: whether a server reads that version now.
      withdrawn: whether a person took it out of service, and nobody put it back.
      sign_offs: what people decided about it, oldest first.
      path: the folder it was trained to.
    """

    id: int
    trained: str
    blessed: bool | None
    serves: bool | None
    accuracy: float | None
    lying_recall: float | None
    version: str | None
    pushed: str | None
    in_service: bool
    withdrawn: bool
    sign_offs: list[dict[str, Any]]
    path: str


@click.command()
@output_root_option("Output folder of the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(output_root: Path, as_json: bool) -> None:
    """List the runs of an output folder, their models, and what gates and people said of them."""
    from components import processes
    from pipeline.runs.reader import Runs
    from pipeline.runs.verdict import MEANINGS, told

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
    runs, models = list(map(_run, read)), _models(read, found.sign_offs)
    now = read[-1].in_service
    if as_json:
        content = {
            "in_service": now.id if now else None,
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
    service = f"{now.id} in {now.folder}" if now else "no version that is whole"
    console.print(Text(f"In service: {service}"), soft_wrap=True)
    for sign_off in found.sign_offs:
        console.print(Text(told(sign_off)))


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


def _models(runs: "list[Run]", sign_offs: "list[SignOff]") -> list[ModelStatus]:
    from components.serving.versions import withdrawn
    from pipeline.runs.record import moment

    models: dict[int, ModelStatus] = {}
    for run in runs:
        model = run.model
        if model is None:
            continue
        earlier = models.get(model.id)
        blessed, serves = run.blessed, run.serves
        accuracy, recall = _figures(run)
        if earlier:
            # A run that broke off says nothing new about what an earlier one judged.
            blessed = earlier.blessed if blessed is None else blessed
            serves = earlier.serves if serves is None else serves
            accuracy = earlier.accuracy if accuracy is None else accuracy
            recall = earlier.lying_recall if recall is None else recall
        key = (model.id, model.created)
        versions = [each for each in run.versions if each.holds(*key)]
        models[model.id] = ModelStatus(
            id=model.id,
            trained=moment(model.created / 1000),
            blessed=blessed,
            serves=serves,
            accuracy=accuracy,
            lying_recall=recall,
            version=versions[-1].id if versions else None,
            pushed=str(versions[-1].folder) if versions else None,
            in_service=bool(versions) and versions[-1] == run.in_service,
            withdrawn=key in withdrawn(run.versions),
            sign_offs=[
                each.model_dump(exclude_none=True)
                for each in sign_offs
                if key in ((each.model_id, each.model_created), each.withdrawn_model)
            ],
            path=model.uri,
        )
    return [models[number] for number in sorted(models)]


def _figures(run: "Run") -> tuple[float | None, float | None]:
    """A model's accuracy on the test images, and its recall of Lying; None where there is none."""
    answered = run.kept("Predictor", "predictions")
    if answered is None:
        return None, None
    from components.examples import parquet
    from components.judging.comparison import answers

    table = parquet.read(answered.folder, parquet.PREDICTIONS)
    right = answers(table) == table[features.POSTURE]
    lying = right[table[features.POSTURE] == features.LYING]
    return _share(right), _share(lying)


def _share(right: "pd.Series") -> float | None:
    return float(right.mean()) if len(right) else None


def _show_runs(console: Console, runs: list[RunStatus]) -> None:
    rows = []
    for run in runs:
        states = list(run.components.values())
        parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        model = "" if run.model is None else str(run.model)
        rows.append((run.run_id, run.verdict, ", ".join(parts), model))
    # The name of a run begins with its time.
    tables.show(console, ("Run", "Verdict", "Components", "Model"), rows, title="Runs")


def _show_models(console: Console, models: list[ModelStatus]) -> None:
    names = ("Model", "Accuracy", "Recall of Lying", "Blessed", "Serves", "Version", "In service")
    rows = [
        (
            str(model.id),
            _percent(model.accuracy),
            _percent(model.lying_recall),
            _answer(model.blessed),
            _answer(model.serves),
            Path(model.pushed or "").name,
            "yes" if model.in_service else "withdrawn" if model.withdrawn else "",
        )
        for model in models
    ]
    tables.show(console, names, rows, numbers=(1, 2), title="Models")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f} %"


def _answer(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]
