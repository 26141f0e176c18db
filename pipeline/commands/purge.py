"""The command `lookdeep purge`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError
from pipeline.commands.cli import output_root_option

if TYPE_CHECKING:
    from pipeline.runs.purge import Plan, Target


@click.command()
@click.option("--clip", help="Name of the clip: the part of its images' names before _cat-1_.")
@click.option("--tranche", help="Number of the tranche.")
@output_root_option("Output folder to remove it from.")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def purge(
    clip: str | None, tranche: str | None, output_root: Path, dry_run: bool, yes: bool
) -> None:
    """Remove a clip or a tranche and everything made from it; list the models trained on it.

    This removes images, rows of tables, TFRecords, artifacts and caches that contain examples,
    and review pages. Models, metrics and the folder that the data came from are kept.
    """
    if (clip is None) == (tranche is None):
        raise InputError("Give either --clip or --tranche.")
    from pipeline.process.launcher import output_folder
    from pipeline.runs import purge as purging
    from pipeline.runs import snapshot

    config = snapshot.settings(output_root.absolute())
    if not config.output_root.is_dir():
        raise InputError(f"There is no output folder {config.output_root}.")
    target = purging.Target(clip, tranche)
    with output_folder(config):
        plan = purging.plan(config, target)
        if plan.is_empty:
            raise InputError(f"{config.output_root} contains nothing of {target}; check its name.")
        _show(plan, config.output_root, target)
        if dry_run:
            click.echo("Nothing was removed: this was a dry run.")
            return
        if not yes:
            click.confirm("Remove all of this for good?", abort=True)
        purging.carry_out(plan, config)
    click.echo(
        f"Removed {target}. Remove it from the folder or archive that the data came from, too:"
        " the next run reads that again."
    )


def _show(plan: "Plan", output_root: Path, target: "Target") -> None:
    """Prints what will be removed, and which models were made with it."""

    def inside(path: Path) -> str:
        return str(path.relative_to(output_root)) if path.is_relative_to(output_root) else str(path)

    click.echo(f"{output_root} knows {len(plan.names):,} images of {target}. To be removed:")
    for path, rows in plan.tables.items():
        click.echo(f"  {rows:,} rows of {inside(path)}")
    for path in plan.delete:
        click.echo(f"  {inside(path)}{'/' if path.is_dir() else ''}")
    for path in plan.texts:
        click.echo(f"  names in {inside(path)}")
    for model in plan.lineage.models:
        what = "was trained on it" if model.trained else "was tested on it, not trained"
        where = f", pushed to {', '.join(model.pushed)}" if model.pushed else ""
        click.echo(f"Model {model.id} {what}{where}. It is kept: {model.uri}")
    if not plan.lineage.models:
        click.echo("No model in this folder was trained on it.")
