"""What an interrupted phase of training resumes from, and what a finished one leaves."""

import json
import math
import shutil
from pathlib import Path
from typing import Final

import keras

from components import files

Epochs = list[dict[str, float]]  # losses and accuracies of each epoch, and `epoch`, from 0

_FINISHED: Final = "finished"
_WEIGHTS: Final = "state.weights.h5"  # with the optimizer's state
_BEST: Final = "best.weights.h5"
_HISTORY: Final = "history.json"


def best_epoch(history: Epochs) -> int:
    """Index of the epoch with the lowest eval loss; NaN counts as the highest.

    Args:
      history: of at least one epoch.
    """
    losses = [row["val_loss"] for row in history]
    comparable = [math.inf if math.isnan(loss) else loss for loss in losses]
    return comparable.index(min(comparable))


class Checkpoint(keras.callbacks.Callback):
    """Keeps the last epoch of a phase: weights, optimizer, history, and the best epoch's weights.

    Each epoch is a folder that is either complete or absent, so that a kill at any moment
    leaves a consistent state. Keras's BackupAndRestore keeps neither the history nor the best
    weights, without which early stopping cannot be resumed.

    Args:
      folder: of this phase; it survives a killed run.

    Attributes:
      history: of all epochs so far.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.history: Epochs = []
        if last := self._last():
            self.history = json.loads((last / _HISTORY).read_text(encoding="utf-8"))

    @property
    def is_finished(self) -> bool:
        """Whether the phase has ended and its final weights are kept."""
        return (self._folder / _FINISHED).exists()

    def restore(self, trained: keras.Model) -> None:
        """Loads the state of the last epoch, if there is one; the optimizer must be built."""
        if last := self._last():
            trained.load_weights(last / _WEIGHTS)

    def restore_best(self, trained: keras.Model) -> None:
        """Loads the weights of the best epoch; there must be one."""
        last = self._last()
        assert last  # noqa: S101 (for the type checker)
        trained.load_weights(last / _BEST)

    def finish(self, trained: keras.Model) -> None:
        """Keeps the model's weights as the phase's final ones, and removes all others."""
        incoming = files.begin(self._folder)
        trained.save_weights(incoming / _WEIGHTS)
        self._publish(incoming, _FINISHED)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch, then removes the one before."""
        last = self._last()
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch, **figures})
        is_best = best_epoch(self.history) == len(self.history) - 1
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
