"""The command `lookdeep purge`."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from components.errors import InputError
from pipeline.commands.cli import output_root_option

if TYPE_CHECKING:
    from pipeline.runs.purge import Plan, Target

_USES: Final = {
    "trained": "was trained on it",
    "tested": "was tested on it, not trained",
    "perhaps": "may have been trained on it, as what it was trained on is gone",
}


@click.command()
@click.option("--clip", help="Name of the clip: the part of its images' names before _cat-1_.")
@click.option("--tranche", help="Number of the tranche.")
@output_root_option("Output folder to remove it from.")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_context
def purge(
    ctx: click.Context,
    clip: str | None,
    tranche: str | None,
    output_root: Path,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove a clip or a tranche and everything made from it; list the models trained on it.

    This removes images, rows of tables, TFRecords, artifacts and caches that contain examples,
    and review pages. Models, metrics and the folder that the data came from are kept.

    The exit status is 1 if the output folder names the images all the same, in files that people
    put there.
    """
    if bool(clip) == bool(tranche):
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
        left = purging.carry_out(plan, config, target)
    if left:
        names = "\n".join(f"  {path}" for path in left)
        click.echo(f"{target} is removed, but these still name it; remove them yourself:\n{names}")
        ctx.exit(1)
    click.echo(
        f"Removed {target}. Remove it from the folder or archive that the data came from, too:"
        " the next run reads that again."
    )


def _show(plan: "Plan", output_root: Path, target: "Target") -> None:
    """Prints what will be removed, and which models were made with it."""

    def inside(path: Path) -> str:
        return str(path.relative_to(output_root)) if path.is_relative_to(output_root) else str(path)

    click.echo(f"{output_root} knows {len(plan.images):,} images of {target}. To be removed:")
    for path, rows in plan.tables.items():
        click.echo(f"  {rows:,} rows of {inside(path)}")
    for path in plan.delete:
        click.echo(f"  {inside(path)}{'/' if path.is_dir() else ''}")
    for path in plan.texts:
        click.echo(f"  names in {inside(path)}")
    for path in plan.left:
        click.echo(f"Not to be removed, as `lookdeep` did not write it: {inside(path)}")
    for model in plan.lineage.models:
        name = (
            "A model that the database does not know" if model.id is None else f"Model {model.id}"
        )
        where = f", pushed to {', '.join(map(str, model.pushed))}" if model.pushed else ""
        click.echo(f"{name} {_USES[model.used]}{where}. It is kept: {model.uri}")
    if not plan.lineage.models:
        click.echo("No model in this folder was trained on it.")
