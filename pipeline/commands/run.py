"""The command `lookdeep run`: the main job on one machine."""

from pathlib import Path

import click


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder of the tranches: tranch1_labels.csv, persons-posture-tranch1.zip and so on."
    " Without it, demo tranches are drawn.",
)
@click.option(
    "--output-root",
    type=click.Path(path_type=Path),
    help="Folder for everything the run writes.  [default: output]",
)
@click.option(
    "--base-weights",
    metavar="imagenet|none|FILE.h5",
    help="What training starts from.  [default: imagenet; none for the demo]",
)
@click.option(
    "--config",
    "settings",
    type=click.Path(path_type=Path),
    help="TOML file with further settings, named as in pipeline/config.py.",
)
@click.pass_context
def run(
    ctx: click.Context,
    data_root: Path | None,
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

    from pipeline import config
    from pipeline.process import launcher

    settings_of_run = config.load(
        settings, data_root=data_root, output_root=output_root, base_weights=base_weights
    )
    ctx.exit(launcher.launch(settings_of_run, Console()))
