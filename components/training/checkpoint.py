"""What an interrupted phase of training goes on from, and what a finished one leaves."""

import json
import math
import shutil
from pathlib import Path
from typing import Final

import keras

from components import files

_FINISHED: Final = "finished"
_WEIGHTS: Final = "state.weights.h5"  # with what the optimizer knows
_BEST: Final = "best.weights.h5"
_HISTORY: Final = "history.json"


class Checkpoint(keras.callbacks.Callback):
    """Keeps the last epoch of a phase: weights, optimizer, figures, and the best epoch's weights.

    Each epoch is a folder that is whole or not there. Keras's BackupAndRestore writes over
    its file: what a kill cuts short is then neither the new epoch nor the old one.

    Args:
      folder: of this phase; it outlives a killed run.

    Attributes:
      history: the figures of each epoch so far, `epoch` from 0 on among them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.history: list[dict[str, float]] = []
        if last := self._last():
            self.history = json.loads((last / _HISTORY).read_text(encoding="utf-8"))

    @property
    def is_finished(self) -> bool:
        """Whether the phase has come to its end, and was left its last weights."""
        return (self._folder / _FINISHED).exists()

    def restore(self, trained: keras.Model) -> None:
        """Gives a model whose optimizer is built the state of the last epoch, if there is one."""
        if last := self._last():
            trained.load_weights(last / _WEIGHTS)

    def restore_best(self, trained: keras.Model) -> None:
        """Gives a model the weights of the epoch with the lowest eval loss."""
        last = self._last()
        assert last  # noqa: S101 (for the type checker)
        trained.load_weights(last / _BEST)

    def finish(self, trained: keras.Model) -> None:
        """Keeps the weights that the phase has come to, and no others."""
        incoming = files.begin(self._folder)
        trained.save_weights(incoming / _WEIGHTS)
        self._publish(incoming, _FINISHED)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch, and then removes the one before."""
        figures = {name: float(value) for name, value in (logs or {}).items()}
        before = [row["val_loss"] for row in self.history if not math.isnan(row["val_loss"])]
        is_best = figures["val_loss"] < min(before, default=math.inf)
        last = self._last()
        self.history.append({"epoch": epoch, **figures})
        incoming = files.begin(self._folder)
        self.model.save_weights(incoming / _WEIGHTS)
        best = last / _BEST if last and not is_best else incoming / _WEIGHTS
        (incoming / _BEST).hardlink_to(best)
        self._publish(incoming, str(epoch))

    def _last(self) -> Path | None:
        if self.is_finished:
            return self._folder / _FINISHED
        epochs = [path for path in self._folder.iterdir() if path.name.isdecimal()]
        return max(epochs, key=lambda path: int(path.name), default=None)

    def _publish(self, incoming: Path, name: str) -> None:
        (incoming / _HISTORY).write_text(json.dumps(self.history), encoding="utf-8")
        files.publish(incoming, self._folder / name)
        for path in self._folder.iterdir():
            if path.name != name:
                shutil.rmtree(path)
