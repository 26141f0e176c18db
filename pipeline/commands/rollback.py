"""The command `lookdeep rollback`: the way back to an earlier version."""

from pathlib import Path

import click

from components.errors import InputError
from pipeline.commands.cli import output_root_option, sign_off_options


@click.command()
@click.argument("version", required=False, type=click.IntRange(min=0))
@sign_off_options
@output_root_option("Output folder of the runs.")
def rollback(version: int | None, by: str, reason: str, output_root: Path) -> None:
    """Put VERSION into service again, as a new version with the highest number.

    Without VERSION that is the newest one of another model that nobody has withdrawn. The model
    that was in service does not come back by itself: a run that would push it awaits a person's
    decision. ML Metadata and the new version keep who decided, when and why.
    """
    from pipeline.process.launcher import output_folder
    from pipeline.runs import sign_off, snapshot
    from pipeline.runs.verdict import told

    config = snapshot.settings(output_root.absolute())
    if not config.output_root.is_dir():
        raise InputError(f"There is no output folder {config.output_root}.")
    with output_folder(config):
        click.echo(told(sign_off.roll_back(config, version, by, reason)))
