"""The console command `lookdeep`: one group that imports a command when it is called.

TensorFlow and Beam take half a minute to import; nobody waits for them to read
`lookdeep --help`.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from components.errors import InputError
from components.files import owner_only
from components.ingest.archive import printable

if TYPE_CHECKING:
    from components.serving.versions import SignOff
    from pipeline.config import PipelineConfig

USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it


# Each is a function of its own name in a module of that name, beside this one.
COMMANDS: Final = {
    "demo": "Draw tranches to try things on.",
    "download": "Fetch the tranches named in a TOML file.",
    "master": "Join all tranches into one tranch_master.csv.",
    "tfrecords": "Convert the pictures to TFRecords.",
    "run": "Run everything, from tranches to a pushed model.",
    "predict": "Name the posture in pictures.",
    "export": "Write the pushed model for a device.",
    "review": "Draw the review page of a run.",
    "dossier": "Write what a quality file asks of a run.",
    "crossval": "Compare training recipes on clips and tranches held out.",
    "approve": "Put the model of a run into service that awaits a decision.",
    "reject": "Keep the model of such a run out of service.",
    "rollback": "Put an earlier version into service again.",
    "purge": "Remove a clip or tranche and everything made from it.",
    "status": "List runs, models and blessings.",
}


def output_root_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of the commands that do one step, or look at what runs have left.

    Args:
      help_text: what the command writes or looks for there.
    """
    return click.option(
        "--output-root",
        default=Path("output"),
        show_default=True,
        type=click.Path(path_type=Path, file_okay=False, readable=False),  # `execute` says it
        help=help_text,
    )


def sign_off_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of the commands by which a person decides: `by` and `reason`."""

    def check(ctx: click.Context, option: click.Parameter, text: str) -> str:
        if not text.strip() or printable(text) != text:
            raise click.BadParameter("should be one line of text.", ctx, option)
        return text.strip()

    by = click.option(
        "--by", metavar="NAME", required=True, callback=check, help="Who decides this."
    )
    reason = click.option(
        "--reason", metavar="TEXT", required=True, callback=check, help="Why, in a sentence."
    )
    return by(reason(command))


def decide(run_id: str, output_root: Path, decision: "Callable[[PipelineConfig], SignOff]") -> None:
    """Lets a person decide about a run, under the lock of its output folder, and says what came.

    Args:
      run_id: the run.
      output_root: of the run.
      decision: makes the decision, given where the run is.

    Raises:
      InputError: there is no such run.
    """
    from components import command_line
    from pipeline.process.launcher import output_folder
    from pipeline.runs import snapshot
    from pipeline.runs.verdict import told

    config = snapshot.settings(output_root.absolute())
    snapshot.read(config.output_root, run_id)  # says so if there is no such run
    with output_folder(config):
        click.echo(told(decision(config)))
    page = command_line.lookdeep("review", run_id, "--output-root", config.output_root)
    click.echo(f"To have it on the review page: {page}")


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of a run, here or on a cluster: `data_root`, `output_root` and so on."""
    options = (
        click.option(
            "--data-root",
            type=click.Path(path_type=Path),
            help="Folder of the tranches: tranch1_labels.csv, persons-posture-tranch1.zip and"
            " so on. Without it, demo tranches are drawn.",
        ),
        click.option(
            "--demo-tranches",
            type=int,
            help="How many demo tranches; one more is new to the next run.  [default: 3]",
        ),
        click.option(
            "--output-root",
            type=click.Path(path_type=Path, readable=False),
            help="Folder for everything the run writes.  [default: output]",
        ),
        click.option(
            "--base-weights",
            metavar="imagenet|none|FILE.h5",
            help="What training starts from.  [default: imagenet; none for the demo]",
        ),
        click.option(
            "--config",
            "settings",
            type=click.Path(path_type=Path),
            help="TOML file with further settings, named as in pipeline/config.py.",
        ),
    )
    for option in reversed(options):  # as decorators stand, the first on top
        command = option(command)
    return command


class LazyGroup(click.Group):
    """Lists `COMMANDS` without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the data."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command that is called."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"pipeline.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 (for the type checker)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup)
@click.version_option(package_name="lookdeep-posture", prog_name="lookdeep")
def lookdeep() -> None:
    """From raw image tranches to a posture model in service.

    `lookdeep run` does all of it; the other commands do one step each.
    `lookdeep COMMAND --help` says more.
    """


def execute(command: click.Command) -> NoReturn:
    """Runs a command and exits: 0, its own status, 2 for what the user can mend, or 130.

    Args:
      command: what to run, with the arguments of this process.
    """
    try:
        os.getcwd()
    except OSError as error:
        print(
            f"The current folder is not there ({error.strerror}); cd to another.", file=sys.stderr
        )
        sys.exit(USAGE)
    try:
        with owner_only():  # whatever a command writes may come from pictures of patients
            status = command.main(standalone_mode=False)
    except click.Abort as abort:
        # click's word for Ctrl-C; a command may have given a line of its own.
        print(str(abort.__cause__ or "") or "Stopped.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(USAGE)
    except PermissionError as error:
        if error.filename is None:
            raise
        print(
            f"{error.filename} may not be read or written: {error.strerror}. An output folder is"
            " its owner's alone; docs/cluster.md says how people can share their runs.",
            file=sys.stderr,
        )
        sys.exit(USAGE)
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`); the interpreter's last
        # flush would complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)
