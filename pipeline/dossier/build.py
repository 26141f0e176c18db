"""From a run to its dossier, in OUT/dossier/RUN."""

from pathlib import Path

from components import files
from components.errors import InputError
from pipeline.dossier.contents import contents
from pipeline.review import collect
from pipeline.runs.run import Run


def folder(output_root: Path, run_id: str) -> Path:
    """Where the dossier of a run is."""
    return output_root / "dossier" / run_id


def build(run: Run) -> Path:
    """Writes the dossier of a run, whole or not at all.

    Args:
      run: as far as it has come.

    Returns:
      The folder.

    Raises:
      InputError: there is one already. People write into it, so it is not replaced.
    """
    place = folder(run.config.output_root, run.id)
    if place.exists():
        raise InputError(
            f"There is a dossier of run {run.id} in {place}, and somebody may have filled it in;"
            " move it away to write it again."
        )
    texts = contents(run, collect.collect(run))
    incoming = files.begin(place.parent)
    for name, text in texts.items():
        (incoming / name).write_text(text, encoding="utf-8")
    files.publish(incoming, place)
    return place
