"""The main job on the tiny pipeline: `python -m tests.support.tiny_launch OUTPUT ANSWERS`."""

import sys
from pathlib import Path

import click
from rich.console import Console

from components.ingest import layout
from pipeline.commands import cli
from pipeline.process import launcher
from tests.support import tiny_runs


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.argument("answers")
@click.pass_context
def run(ctx: click.Context, output: Path, answers: str) -> None:
    """Launches it."""
    launcher.WORKER = (sys.executable, "-m", "tests.support.tiny_runs", answers)
    settings = tiny_runs.settings(output)
    ctx.exit(launcher.launch(settings, Console()))


if __name__ == "__main__":
    layout.discover = lambda root: []
    cli.execute(run)
