"""What the Trainer writes beside the SavedModel: its `model_run` artifact."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

KERAS_MODEL: Final = "model.keras"
HISTORY: Final = "history.json"

# A file of the SavedModel: one line, the id that its answers carry. Whoever pushes the model
# writes it; the Trainer knows neither the version nor, for the sake of the cache, the run.
IDENTITY: Final = "assets/model.txt"
NOT_PUSHED: Final = "not pushed"
# Of models that do not say which postures they name: there were no others before.
_FIRST_POSTURES: Final = ("Sitting", "Standing", "Lying")


@dataclass(frozen=True)
class ModelRun:
    """The trained network, and what a caller needs to use it as the exported model does.

    Attributes:
      keras_model: the file; `components.training.network.load` reads it. Its probabilities
        are calibrated.
      postures: that it names, in the order of its probabilities.
      image_size: side of its input, pixels.
      fit: how pictures are brought to that side (`preprocessing.fit_image`).
      threshold: least confidence of a sure answer; None if no answer is sure.
    """

    keras_model: Path
    postures: tuple[str, ...]
    image_size: int
    fit: str
    threshold: float | None

    def unsure(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Whether answers are below the threshold, as the exported model decides it.

        Args:
          probabilities: [images, classes]; NaN is unsure.

        Returns:
          [images].
        """
        threshold = np.inf if self.threshold is None else self.threshold
        return ~(probabilities.max(axis=1) >= np.float32(threshold))


def postures_of(saved_model: Any) -> tuple[str, ...]:
    """The postures that a loaded SavedModel names, in the order of its probabilities."""
    if not hasattr(saved_model, "postures"):
        return _FIRST_POSTURES
    return tuple(map(bytes.decode, saved_model.postures.numpy().tolist()))


def read(folder: Path) -> ModelRun:
    """Reads the artifact.

    Raises:
      FileNotFoundError: `history.json` is not in the folder.
    """
    history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
    settings = history["settings"]
    return ModelRun(
        folder / KERAS_MODEL,
        tuple(history.get("postures", _FIRST_POSTURES)),
        settings["image_size"],
        settings["fit"],
        history["calibration"]["threshold"],
    )
