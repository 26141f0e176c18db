"""The commands of cluster_runner.py: submit a run to Slurm, and watch and end its job."""

import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from components.errors import InputError
from pipeline.cluster import slurm
from pipeline.commands import cli

_FOLDER: Final = "cluster"  # in the output folder: settings, output and notes of jobs


@click.group(context_settings={"max_content_width": 100})
def cluster() -> None:
    """Run the pipeline under Slurm."""


@cluster.command()
@cli.run_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the script, Beam's options and the graph of components; submit nothing.",
)
def submit(
    data_root: Path | None,
    output_root: Path | None,
    base_weights: str | None,
    settings: Path | None,
    dry_run: bool,
) -> None:
    """Submit a run and print the job's number. All nodes must see the output folder."""
    from components.ingest import layout
    from pipeline.cluster import batch, engines, graph, shared_folder
    from pipeline.cluster.flink import jars
    from pipeline.cluster.job import JobSettings
    from pipeline.cluster.settings import load
    from pipeline.process import base_weights as weights

    config, cluster = load(
        settings, data_root=data_root, output_root=output_root, base_weights=base_weights
    )
    shared_folder.refuse_sqlite(config)
    folder = config.output_root / _FOLDER
    place = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.json"
    script = batch.script(cluster, place, folder)
    if dry_run:
        click.echo(script, nl=False)
        options = engines.beam_args(cluster)
        _print_comment("Beam's options:", options)
        _print_comment(
            "The components, where they run, and after which:", graph.steps(config, cluster)
        )
        engines.check(options)
        return
    if cluster.engine == "flink":
        jars.check(cluster.flink_jars)
    weights.check(config)
    if config.data_root is not None:
        layout.discover(config.data_root)
    if config.metadata is not None:
        config.metadata.password()
    folder.mkdir(parents=True, exist_ok=True)
    place.write_text(JobSettings(config=config, cluster=cluster).model_dump_json(indent=2))
    click.echo(slurm.submit(script))


def _print_comment(title: str, lines: Iterable[object]) -> None:
    click.echo("\n".join([f"# {title}", *(f"#   {line}" for line in lines)]))


@cluster.command(hidden=True)
@click.argument("settings", type=click.Path(path_type=Path))
@click.pass_context
def job(ctx: click.Context, settings: Path) -> None:
    """Run a submitted job; its batch script calls this."""
    from pipeline.cluster import job

    ctx.exit(job.run(settings))


@cluster.command()
@click.option(
    "--config",
    "toml",
    type=click.Path(path_type=Path),
    help="TOML file that sets cluster.flink_jars.  [default: .flink in the project]",
)
def setup(toml: Path | None) -> None:
    """Fetch Flink with Maven, once.

    It takes 150 MB; engine = "flink" needs it.
    """
    from pipeline.cluster import settings
    from pipeline.cluster.flink import jars

    _, cluster = settings.load(toml)
    number = jars.fetch(cluster.flink_jars)
    click.echo(f"Flink and Beam's Flink runner ({number} jars) are in {cluster.flink_jars}.")


@cluster.command()
@click.argument("job")
def status(job: str) -> None:
    """Print a job's state."""
    word, details = slurm.state(job)
    click.echo(f"{word}: {details}")


@cluster.command()
@click.argument("job")
@cli.output_root_option("Output folder of the job.")
def logs(job: str, output_root: Path) -> None:
    """Print a job's output so far."""
    place = output_root / _FOLDER / f"{Path(job).name}.out"
    try:
        with place.open("r", errors="replace") as file:
            shutil.copyfileobj(file, sys.stdout)
    except OSError as error:
        raise InputError(
            f"{place} cannot be read: {error.strerror}. The job may not have started yet, or it"
            " has another output folder: name it with --output-root."
        ) from error


@cluster.command()
@click.argument("job")
def cancel(job: str) -> None:
    """End a job and wait until it is gone.

    Finished components are kept.
    """
    click.echo(f"Job {job}: {slurm.cancel(job)}.")
