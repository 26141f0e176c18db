"""The main job on a Slurm cluster: the same pipeline, in a batch job.

    python cluster_runner.py submit --config run.toml --data-root path/to/tranches
    python cluster_runner.py status|logs|cancel JOB
    python cluster_runner.py setup          # once, for engine = "flink"

Settings of the cluster are the table [cluster] of the TOML file, see
pipeline/cluster/settings.py; docs/cluster.md says more.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from components.errors import InputError
from pipeline.cluster import batch, engines, graph, shared_folder, slurm
from pipeline.cluster import settings as cluster_settings
from pipeline.commands import cli

_FOLDER = "cluster"  # in the output folder: settings, output and notes of jobs


@click.group(context_settings={"max_content_width": 100})
def cluster() -> None:
    """Run the pipeline under Slurm."""


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--config",
            "toml",
            type=click.Path(path_type=Path),
            help="TOML file with settings, the table [cluster] among them.",
        ),
        click.option(
            "--data-root", type=click.Path(path_type=Path), help="Folder of the tranches."
        ),
        click.option(
            "--output-root",
            type=click.Path(path_type=Path),
            help="Folder for everything the run writes, on all nodes.  [default: output]",
        ),
        click.option("--base-weights", metavar="imagenet|none|FILE.h5"),
    ):
        command = option(command)
    return command


@cluster.command()
@_run_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the script, Beam's options and the graph of components; submit nothing.",
)
def submit(
    toml: Path | None,
    data_root: Path | None,
    output_root: Path | None,
    base_weights: str | None,
    dry_run: bool,
) -> None:
    """Submit a run as one batch job, and print the job's number."""
    from components.ingest import layout
    from pipeline.cluster.flink import jars
    from pipeline.cluster.job import JobSettings
    from pipeline.process import base_weights as weights

    config, cluster = cluster_settings.load(
        toml, data_root=data_root, output_root=output_root, base_weights=base_weights
    )
    shared_folder.refuse_sqlite(config)
    folder = config.output_root / _FOLDER
    moment = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%S%f")
    place = folder / f"{moment}.json"
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


@cluster.command()
@click.option(
    "--config",
    "toml",
    type=click.Path(path_type=Path),
    help="TOML file with cluster.flink_jars, where they go.  [default: .flink in the project]",
)
def setup(toml: Path | None) -> None:
    """Fetch Flink for engine = "flink": 150 MB, once, with Maven."""
    from pipeline.cluster.flink import jars

    _, cluster = cluster_settings.load(toml)
    number = jars.fetch(cluster.flink_jars)
    click.echo(f"Flink and Beam's way to it, {number} jars, are in {cluster.flink_jars}.")


@cluster.command()
@click.argument("job")
def status(job: str) -> None:
    """Say how a job is doing."""
    word, details = slurm.state(job)
    click.echo(f"{word}: {details}")


@cluster.command()
@click.argument("job")
@cli.output_root_option("Output folder of the job.")
def logs(job: str, output_root: Path) -> None:
    """Print what a job has said so far."""
    place = output_root / _FOLDER / f"{Path(job).name}.out"
    try:
        with place.open("r", errors="replace") as file:
            shutil.copyfileobj(file, sys.stdout)
    except OSError as error:
        raise InputError(
            f"{place} cannot be read: {error.strerror}; the job may not have started yet, or name"
            " its folder with --output-root."
        ) from error


@cluster.command()
@click.argument("job")
def cancel(job: str) -> None:
    """End a job and wait until nothing of it is left; finished components are kept."""
    click.echo(f"Job {job}: {slurm.cancel(job)}.")


if __name__ == "__main__":
    cli.execute(cluster)
