"""The command `lookdeep approve`: a person puts a model into service."""

from pathlib import Path

import click

from pipeline.commands.cli import decide, output_root_option, sign_off_options


@click.command()
@click.argument("run_id", metavar="RUN")
@sign_off_options
@output_root_option("Output folder of the run.")
def approve(run_id: str, by: str, reason: str, output_root: Path) -> None:
    """Put the model of RUN into service, about which a person has to decide.

    The verdict of such a run is awaiting_sign_off. Nothing runs again. ML Metadata and the pushed
    version keep who decided, when and why.
    """
    from pipeline.runs import sign_off

    decide(run_id, output_root, lambda config: sign_off.approve(config, run_id, by, reason))
