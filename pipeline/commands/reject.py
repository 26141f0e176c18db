"""The command `lookdeep reject`: a person keeps a model out of service."""

from pathlib import Path

import click

from pipeline.commands.cli import decide, output_root_option, sign_off_options


@click.command()
@click.argument("run_id", metavar="RUN")
@sign_off_options
@output_root_option("Output folder of the run.")
def reject(run_id: str, by: str, reason: str, output_root: Path) -> None:
    """Keep the model of RUN out of service, about which a person has to decide.

    The verdict of such a run is awaiting_sign_off, and rejected afterwards. ML Metadata keeps who
    decided, when and why.
    """
    from pipeline.runs import sign_off

    decide(run_id, output_root, lambda config: sign_off.reject(config, run_id, by, reason))
