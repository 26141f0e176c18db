"""The command `lookdeep run`: the main job on one machine."""

from pathlib import Path

import click

from pipeline.commands.cli import run_options


@click.command(context_settings={"max_content_width": 100})
@run_options
@click.pass_context
def run(
    ctx: click.Context,
    data_root: Path | None,
    demo_tranches: int | None,
    output_root: Path | None,
    base_weights: str | None,
    settings: Path | None,
) -> None:
    """Run the whole pipeline, from tranches to a pushed model.

    The exit status is 0 if the model was pushed, 3 if it was not blessed, 4 if the
    data was refused, 2 if the settings cannot work, and 1 for anything else. The
    same is in run.json in the output folder.
    """
    from rich.console import Console

    from components import processes
    from pipeline import config
    from pipeline.process import launcher

    processes.lose_output()  # run.json has the verdict, too
    settings_of_run = config.load(
        settings,
        data_root=data_root,
        demo_tranches=demo_tranches,
        output_root=output_root,
        base_weights=base_weights,
    )
    ctx.exit(launcher.launch(settings_of_run, Console()))
