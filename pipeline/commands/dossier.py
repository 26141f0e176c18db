"""The command `lookdeep dossier`: what a quality file asks of a run, in one folder."""

from pathlib import Path

import click

from components.errors import InputError
from pipeline.commands.cli import output_root_option


@click.command()
@click.argument("run_id", metavar="RUN")
@output_root_option("Output folder of the runs.")
def dossier(run_id: str, output_root: Path) -> None:
    """Write the dossier of RUN, a folder for a quality file.

    OUT/dossier/RUN has the acceptance plan, the decision, the comparison with other models, the
    model card, where the data come from, and checklists that say where each item is answered.
    What only the clinic can say is left blank in TO_FILL_IN.md. `lookdeep status` lists the runs.
    """
    from components import processes
    from pipeline.runs.reader import Runs

    processes.hush_libraries()
    run = Runs(output_root.absolute()).read(run_id)
    click.echo(f"Writing the dossier of run {run.id}; this takes about half a minute.")
    from pipeline.dossier import build

    try:
        folder = build.build(run)
    except OSError as error:
        place = error.filename or run.config.output_root
        raise InputError(f"{place} cannot be used: {error.strerror or error}.") from error
    click.echo(folder)
