"""Trains a model in phases.

With given base weights there are two: the head on the frozen base, then the open layers.
Without them, one phase trains everything. A killed training resumes in the epoch it was in.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from components import progress
from components.training import network
from components.training.checkpoint import Checkpoint, Epochs, best_epoch
from components.training.trainer_settings import TrainerSettings
from components.training.training_data import (
    CLASSES,
    Examples,
    Sampling,
    evaluation_data,
    training_data,
)

_BATCH_INTERVAL: Final = 1.0  # seconds between events of batches, at least


@dataclass(frozen=True)
class Phase:
    """One phase, before it is trained.

    Attributes:
      name: decides which layers are trained, see `open_layers`.
      epochs: at most; early stopping may end it before.
      learning_rate: the highest; `train_phase` has the schedule.
    """

    name: str
    epochs: int
    learning_rate: float


@dataclass(frozen=True)
class TrainedPhase:
    """What a phase came to; JSON-serialisable.

    Attributes:
      learning_rate: the highest.
      most_epochs: how many were allowed.
      kept_epoch: the epoch whose weights the phase left, from 1.
      epochs: loss, accuracy, val_loss and val_accuracy of each epoch, and `epoch`, from 0.
    """

    learning_rate: float
    most_epochs: int
    kept_epoch: int
    epochs: Epochs


def planned(settings: TrainerSettings) -> list[Phase]:
    """The phases of a training, in order."""
    if settings.base_weights == "none":
        return [Phase("scratch", settings.scratch_epochs, settings.scratch_learning_rate)]
    head = Phase("head", settings.head_epochs, settings.head_learning_rate)
    if settings.fine_tune_epochs == 0:
        return [head]
    return [
        head,
        Phase("fine_tune", settings.fine_tune_epochs, settings.fine_tune_learning_rate),
    ]


def open_layers(posture_model: keras.Model, phase: Phase, settings: TrainerSettings) -> str | None:
    """Freezes the layers that a phase does not train, and opens the others.

    Returns:
      The layer up to which everything is frozen, see `network.frozen_end`.
    """
    if phase.name == "head":
        network.freeze_base(posture_model)
    elif phase.name == "fine_tune":
        network.open_layers(posture_model, settings.frozen_layers)
    return network.frozen_end(posture_model)


def frozen_ends(posture_model: keras.Model, settings: TrainerSettings) -> set[str]:
    """The layers that phases may start from, see `network.frozen_end`."""
    ends = (open_layers(posture_model, phase, settings) for phase in planned(settings))
    return {end for end in ends if end}


def class_weights(labels: np.ndarray) -> dict[int, float]:
    """Weights that give each class the same total weight in the loss.

    n / (classes * count), as scikit-learn's `balanced` (King and Zeng 2001).

    Args:
      labels: int64 [examples].

    Returns:
      Weight by class; their mean over the examples is 1.
    """
    counts = np.bincount(labels, minlength=CLASSES)
    present = np.count_nonzero(counts)
    return {
        index: len(labels) / (present * int(count)) for index, count in enumerate(counts) if count
    }


def sampling(labels: np.ndarray, settings: TrainerSettings, views: int) -> Sampling:
    """How the training examples with these labels are drawn."""
    balance = settings.class_balance
    return Sampling(
        batch_size=settings.batch_size,
        views=views,
        oversample=balance == "oversample",
        class_weights=class_weights(labels) if balance == "weights" else {},
        mixup=settings.mixup,
        seed=settings.seed,
    )


def strategy(settings: TrainerSettings) -> tf.distribute.Strategy:
    """Where a training runs; its models are built and trained within `scope()`.

    Returns:
      With `mirrored`, all GPUs of this machine (without GPUs, all logical CPUs), each with a
      share of every batch; else TensorFlow's default, the first GPU or the CPU.
    """
    if not settings.mirrored:
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


class ReportProgress(keras.callbacks.Callback):
    """Tells the watching process about each epoch, and every second about its batches."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self._phase = phase
        self._epoch, self._next = 0, 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Says why nothing is counted yet."""
        progress.emit("doing", what=f"{self._phase.name}: compiling the first step")

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Emits the batch, unless one was emitted within the last second."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _BATCH_INTERVAL
            progress.emit(
                "batch",
                phase=self._phase.name,
                epoch=self._epoch + 1,
                epochs=self._phase.epochs,
                batch=batch + 1,
                batches=self.params["steps"],
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Emits the epoch's figures."""
        figures = {name: float(value) for name, value in (logs or {}).items()}
        progress.emit(
            "epoch", phase=self._phase.name, epoch=epoch + 1, epochs=self._phase.epochs, **figures
        )


class StopEarly(keras.callbacks.Callback):
    """Ends a phase by what its checkpoint holds, so that a kill changes nothing."""

    def __init__(self, checkpoint: Checkpoint, phase: Phase, patience: int) -> None:
        super().__init__()
        self._checkpoint, self._phase, self._patience = checkpoint, phase, patience

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Decides after the checkpoint was written."""
        self.model.stop_training = has_ended(self._checkpoint.history, self._phase, self._patience)


def has_ended(history: Epochs, phase: Phase, patience: int) -> bool:
    """Whether a phase has used up its epochs or had `patience` epochs without a lower eval loss."""
    if len(history) == phase.epochs:
        return True
    return bool(history) and len(history) - 1 - best_epoch(history) >= patience


def kept_epoch(history: Epochs, phase: Phase) -> int:
    """Index of the epoch whose weights a phase keeps once it has ended.

    The last one if it used up its epochs: the learning rate has then fallen to zero, and the
    eval split is too small to choose better. The best one after early stopping.
    """
    last = len(history) - 1
    return last if len(history) == phase.epochs else best_epoch(history)


def train_phase(
    trained: keras.Model,
    phase: Phase,
    train: tf.data.Dataset,
    evaluation: tf.data.Dataset,
    patience: int,
    backup: Path,
    logs: Path,
) -> TrainedPhase:
    """Trains one phase, or what is left of it, and leaves the model the weights it keeps.

    Args:
      trained: with the layers of the phase already open; takes what the data hold, pictures
        or features, and gives probabilities.
      phase: how long and how fast. The rate rises over the first tenth of the steps and
        then falls to zero along a cosine (Loshchilov and Hutter 2017).
      train: one epoch of training batches.
      evaluation: the eval split; its loss decides about early stopping.
      patience: epochs without a lower eval loss before the phase ends, at least 1.
      backup: folder of this phase that survives a killed run.
      logs: folder for TensorBoard.

    Returns:
      All epochs, those before an interruption included, and which one was kept.
    """
    checkpoint = Checkpoint(backup)
    steps = phase.epochs * int(train.cardinality())
    warmup = steps // 10
    trained.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                phase.learning_rate / 10,
                steps - warmup,
                warmup_target=phase.learning_rate,
                warmup_steps=warmup,
            )
        ),
        loss="categorical_crossentropy",
        metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
        jit_compile=False,  # XLA on CPU trains this model ten times slower
    )
    # Keras would make the optimizer's variables in the first step, and then trace it once more.
    trained.optimizer.build(trained.trainable_variables)
    checkpoint.restore(trained)
    if not checkpoint.is_finished:
        # A training that was killed right after its last epoch must not train another one.
        if not has_ended(checkpoint.history, phase, patience):
            trained.fit(
                train,
                validation_data=evaluation,
                initial_epoch=len(checkpoint.history),
                epochs=phase.epochs,
                verbose=0,
                callbacks=[
                    keras.callbacks.TensorBoard(str(logs), write_graph=False),
                    ReportProgress(phase),
                    # After whatever else tells of an epoch: from here on it is never repeated.
                    checkpoint,
                    StopEarly(checkpoint, phase, patience),
                ],
            )
        if kept_epoch(checkpoint.history, phase) != len(checkpoint.history) - 1:
            checkpoint.restore_best(trained)
        checkpoint.finish(trained)
    return TrainedPhase(
        learning_rate=phase.learning_rate,
        most_epochs=phase.epochs,
        kept_epoch=kept_epoch(checkpoint.history, phase) + 1,
        epochs=checkpoint.history,
    )


def fit(
    posture_model: keras.Model,
    settings: TrainerSettings,
    examples: Callable[[str | None], tuple[Examples, Examples]],
    backup: Path,
    logs: Path,
) -> dict[str, TrainedPhase]:
    """Trains a model in all its phases.

    Args:
      posture_model: from `network.build_model`; is trained.
      settings: of the training.
      examples: gives training and eval split for the layer that a phase may start
        from (`network.frozen_end`).
      backup: folder that survives a killed run.
      logs: folder for TensorBoard.

    Returns:
      The trained phases by name, in order.
    """
    done = {}
    with strategy(settings).scope():
        trained = _copy(posture_model, settings) if settings.mirrored else posture_model
        for phase in planned(settings):
            end = open_layers(trained, phase, settings)
            train, evaluation = examples(end)
            drawn = sampling(train.labels, settings, settings.views_from(end))
            done[phase.name] = train_phase(
                network.after(trained, train.end),
                phase,
                training_data(train, drawn),
                evaluation_data(evaluation, settings.batch_size),
                settings.early_stopping_patience,
                backup / phase.name,
                logs / phase.name,
            )
    if settings.mirrored:
        open_layers(posture_model, planned(settings)[-1], settings)
        posture_model.set_weights(trained.get_weights())
    return done


def _copy(posture_model: keras.Model, settings: TrainerSettings) -> keras.Model:
    """Builds the same model again, since a strategy trains only what was built in its scope."""
    copy = network.build_model(settings.image_size, settings.alpha, settings.base_weights)
    copy.set_weights(posture_model.get_weights())
    return copy
