"""Section 8: how the model was trained."""

import json
from pathlib import Path
from typing import Any

from components.training.calibration import Calibration
from pipeline.review.contents import Epoch, Phase, Training
from schema import features


def fitted(model_run: Path) -> Calibration | None:
    """What was fitted on the eval split after the training; None for runs from before that.

    Args:
      model_run: folder of the Trainer's `model_run` artifact.
    """
    found = _history(model_run).get("calibration")
    return Calibration(**found) if found else None


def training(model_run: Path, seconds: float, cached: bool) -> Training:
    """Reads the history of a training.

    Args:
      model_run: folder of the Trainer's `model_run` artifact.
      seconds: of the Trainer, when it trained.
      cached: whether that was in an earlier run.
    """
    history = _history(model_run)
    epochs: list[Epoch] = []
    phases = []
    for name, phase in history["phases"].items():
        own = [
            Epoch(
                phase=name,
                number=number,
                loss=row["loss"],
                accuracy=row["accuracy"],
                eval_loss=row["val_loss"],
                eval_accuracy=row["val_accuracy"],
            )
            for number, row in enumerate(phase["epochs"], start=len(epochs) + 1)
        ]
        epochs += own
        most = history["settings"][f"{name}_epochs"]
        # As `components.training.trainer.train_phase` has it.
        kept = own[-1] if len(own) == most else min(own, key=lambda epoch: epoch.eval_loss)
        phases.append(
            Phase(
                name=name,
                epochs=len(own),
                most_epochs=most,
                learning_rate=history["settings"][f"{name}_learning_rate"],
                kept_epoch=kept.number,
            )
        )
    weights = history["class_weights"]
    return Training(
        phases=phases,
        epochs=epochs,
        class_weights=weights
        and {features.POSTURES[int(index)]: weight for index, weight in weights.items()},
        images=history["examples"],
        seen=history["examples"] * len(epochs),
        seconds=seconds,
        cached=cached,
    )


def _history(model_run: Path) -> dict[str, Any]:
    history: dict[str, Any] = json.loads((model_run / "history.json").read_text(encoding="utf-8"))
    return history
