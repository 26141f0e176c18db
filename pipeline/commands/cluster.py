"""The commands of cluster_runner.py: submit a run to Slurm, and watch and end its job."""

import re
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from components.errors import InputError
from pipeline.cluster import slurm
from pipeline.commands import cli

if TYPE_CHECKING:
    from pipeline.cluster.settings import ClusterSettings
    from pipeline.config import PipelineConfig

_FOLDER: Final = "cluster"  # in the output folder: settings, output and notes of jobs


def _number(context: click.Context, argument: click.Parameter, job: str) -> str:
    """Refuses what Slurm's commands would take for a list of jobs or an option."""
    if re.fullmatch("[1-9][0-9]*", job) is None:
        raise click.BadParameter(f"{job!r} is not the number of a job.")
    return job


_job = click.argument("job", callback=_number)


@click.group(context_settings={"max_content_width": 100})
def cluster() -> None:
    """Run the pipeline under Slurm."""


@cluster.command()
@cli.run_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Make all checks, print the script, Beam's options and the components; submit nothing.",
)
def submit(
    data_root: Path | None,
    demo_tranches: int | None,
    output_root: Path | None,
    base_weights: str | None,
    settings: Path | None,
    dry_run: bool,
) -> None:
    """Submit a run and print the job's number. All nodes must see the output folder."""
    from pipeline.cluster import batch, engines, graph
    from pipeline.cluster.job import JobSettings
    from pipeline.cluster.settings import load
    from pipeline.runs import snapshot

    config, cluster = load(
        settings,
        data_root=data_root,
        demo_tranches=demo_tranches,
        output_root=output_root,
        base_weights=base_weights,
    )
    folder = config.output_root / _FOLDER
    place = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.json"
    script = batch.script(cluster, place, folder)
    if dry_run:
        click.echo(script, nl=False)
    _check(config, cluster)
    if dry_run:
        click.echo(f"# {slurm.check(script)}")
        _print_comment("Beam's options:", engines.beam_args(cluster))
        _print_comment(
            "The components, where they run, and after which:", graph.steps(config, cluster)
        )
        return
    snapshot.write_json(JobSettings(config=config, cluster=cluster), place)
    click.echo(slurm.submit(script))


def _check(config: "PipelineConfig", cluster: "ClusterSettings") -> None:
    """Refuses what can be known to fail in the job.

    Raises:
      InputError: it would.
    """
    from pipeline.cluster import engines, shared_folder
    from pipeline.cluster.flink import jars
    from pipeline.process import launcher

    shared_folder.check_writable(config.output_root)
    shared_folder.refuse_sqlite(config)
    if cluster.engine == "flink":
        jars.check(cluster.flink_jars)
    if cluster.beam_options:
        engines.check(cluster.beam_options)
    launcher.check(config)
    launcher.check_earlier_runs(config)


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
@_job
def status(job: str) -> None:
    """Print a job's state."""
    word, details = slurm.state(job)
    click.echo(f"{word}: {details}")


@cluster.command()
@_job
@cli.output_root_option("Output folder of the job.")
def logs(job: str, output_root: Path) -> None:
    """Print a job's output so far."""
    place = output_root / _FOLDER / f"{job}.out"
    try:
        with place.open("r", errors="replace") as file:
            shutil.copyfileobj(file, sys.stdout)
    except OSError as error:
        raise InputError(
            f"{place} cannot be read: {error.strerror}. The job may not have started yet, or it"
            " has another output folder: name it with --output-root."
        ) from error


@cluster.command()
@_job
def cancel(job: str) -> None:
    """End a job and wait until it is gone.

    Finished components are kept.
    """
    click.echo(f"Job {job}: {slurm.cancel(job)}.")
