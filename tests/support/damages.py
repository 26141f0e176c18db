"""What befalls the folder of a SavedModel, so that no server can load it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

_GRAPH: Final = "saved_model.pb"
_INDEX: Final = "variables/variables.index"
_SHARD: Final = "variables/variables.data-00000-of-00001"


def save_graph(folder: Path) -> None:
    """Writes a folder that has the files of a SavedModel, with nothing sensible in them."""
    for name in (_GRAPH, _INDEX, _SHARD):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 9)


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _half(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def _empty(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, 0)


def _no_variables(folder: Path) -> None:
    shutil.rmtree(folder / "variables")


def _card_only(folder: Path) -> None:
    shutil.rmtree(folder)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "assets.extra" / "model_card.md").write_text("A card.")


def _file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file in its place")


def _dangling(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("nowhere"))


# Only who knows how long the files were can see these.
SHORTENED: Final = (_half(_GRAPH), _half(_INDEX), _half(_SHARD), _without(_SHARD))

DAMAGES: Final = (
    *SHORTENED,
    _without(_GRAPH),
    _empty(_GRAPH),
    _without(_INDEX),
    _empty(_INDEX),
    _no_variables,
    _card_only,
    _file,
    _dangling,
)
