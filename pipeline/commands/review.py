"""The command `lookdeep review`: draws the page of a run again."""

from pathlib import Path

import click

from components import command_line
from components.errors import InputError
from pipeline.commands.cli import output_root_option


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@output_root_option("Output folder of the runs.")
@click.option("--against", metavar="RUN", help="Show what changed since this run.")
@click.option(
    "--blur", is_flag=True, help="Blur all pictures in the file, so that it can be passed on."
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def review(
    run_id: str | None, output_root: Path, against: str | None, blur: bool, open_page: bool
) -> None:
    """Draw the review page of RUN, or of the last run, again.

    The page is one file, OUT/review/RUN/index.html, that needs no network.
    `lookdeep status` lists the runs.
    """
    from components import processes
    from pipeline.runs.reader import Runs

    processes.hush_libraries()
    runs = Runs(output_root.absolute())
    run = runs.read(run_id or runs.last())
    if against == run.id:
        raise InputError(
            f"Run {run.id} cannot be compared with itself; name another one with --against."
            f" `{command_line.lookdeep('status', '--output-root', run.config.output_root)}` lists"
            " the runs."
        )
    click.echo(f"Drawing the page of run {run.id}; this takes about half a minute.")
    from pipeline.review import build

    try:
        page = build.build(run, against=against, blur=blur)
    except OSError as error:
        place = error.filename or run.config.output_root
        raise InputError(f"{place} cannot be used: {error.strerror or error}.") from error
    click.echo(page)
    if open_page:
        click.launch(page.as_uri())
