"""The command `lookdeep reject`: a person keeps a model out of service."""

from pathlib import Path

import click

from pipeline.commands.cli import output_root_option, sign_off_options


@click.command()
@click.argument("run_id", metavar="RUN")
@sign_off_options
@output_root_option("Output folder of the run.")
def reject(run_id: str, by: str, reason: str, output_root: Path) -> None:
    """Keep the model of RUN out of service, about which a person has to decide.

    The verdict of such a run is awaiting_sign_off, and rejected afterwards. ML Metadata keeps who
    decided, when and why.
    """
    from components import command_line
    from pipeline.process.launcher import output_folder
    from pipeline.runs import sign_off, snapshot
    from pipeline.runs.verdict import told

    config = snapshot.settings(output_root.absolute())
    snapshot.read(config.output_root, run_id)  # says so if there is no such run
    with output_folder(config):
        click.echo(told(sign_off.reject(config, run_id, by, reason)))
    page = command_line.lookdeep("review", run_id, "--output-root", config.output_root)
    click.echo(f"To have it on the review page: {page}")
