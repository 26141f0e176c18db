"""The Trainer's entry point: reads, trains in phases, exports.

With given base weights there are two phases, the head on the frozen base and
then the open layers at a small rate; without them one phase trains everything.
Then the probabilities are calibrated on the eval split.
A killed run goes on in the epoch where it was.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from matplotlib.figure import Figure
from tfx.components.trainer import fn_args_utils

from components import progress
from components.training import calibration, network, signatures
from components.training.checkpoint import Checkpoint
from components.training.frozen_features import FeatureCache, FreshFeatures
from components.training.training_data import (
    CLASSES,
    UNLIMITED,
    Examples,
    Features,
    Pictures,
    Sampling,
    evaluation_data,
    training_data,
)


@dataclass(frozen=True)
class TrainerSettings:
    """What decides a training; JSON-serialisable, part of the cache key."""

    base_weights: str
    image_size: int
    ingest_size: int
    fit: str
    alpha: float
    frozen_layers: int
    batch_size: int
    head_epochs: int
    head_learning_rate: float
    fine_tune_epochs: int
    fine_tune_learning_rate: float
    scratch_epochs: int
    scratch_learning_rate: float
    early_stopping_patience: int
    class_balance: str
    augmentation: float
    views: int
    feature_cache: bool
    mixup: float
    mirrored: bool
    seed: int
    wanted_accuracy: float

    def views_from(self, end: str | None) -> int:
        """How many views of a picture a phase sees that trains from layer `end` on."""
        if not self.augmentation:
            return 1
        return UNLIMITED if end is None else self.views


@dataclass(frozen=True)
class Phase:
    """One stretch of training: which layers, how long, how fast."""

    name: str
    epochs: int
    learning_rate: float


def phases(settings: TrainerSettings) -> list[Phase]:
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


def strategy(settings: TrainerSettings) -> tf.distribute.Strategy:
    """Where a training runs; its models are built and trained within `scope()`.

    Returns:
      All GPUs of this machine if `mirrored` is set, each with its share of every batch;
      else TensorFlow's default, the first one or the CPU. Without GPUs, all logical CPUs.
    """
    if not settings.mirrored:
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


class Splits:
    """Training and eval split: features wherever a phase can start from them, else pictures.

    Features are the same with and without a cache, but for the rounding to float16.

    Args:
      fn_args: patterns of the files of transformed examples; `custom_config` holds
        `cache_root`, the folder of the features that outlive the training.
      posture_model: not trained yet.
      settings: of the training.
      folder: for copies that do not outlive it.
      stage: the component that tells how many pictures the frozen layers have seen.
    """

    def __init__(
        self,
        fn_args: fn_args_utils.FnArgs,
        posture_model: keras.Model,
        settings: TrainerSettings,
        folder: Path,
        stage: str,
    ) -> None:
        self._files = {"train": _files(fn_args.train_files), "eval": _files(fn_args.eval_files)}
        self._settings, self._folder, self._model = settings, folder, posture_model
        self._stage = stage
        ends = frozen_ends(posture_model, settings)
        self._caches: dict[str, FeatureCache] = {}
        if ends and settings.feature_cache:
            cache_root = Path(fn_args.custom_config["cache_root"])
            # Eval is seen as it is.
            views = {"train": settings.views_from(network.POOL), "eval": 1}
            self._caches = {
                name: FeatureCache(
                    cache_root, posture_model, sorted(ends), views[name], settings.augmentation
                )
                for name in self._files
            }

    def __call__(self, end: str | None) -> tuple[Examples, Examples]:
        """Gives training and eval split to a phase that may start from layer `end`."""
        if end is None:
            return self._pictures
        if not self._caches:
            train, evaluation = (
                FreshFeatures(pictures, self._model, end) for pictures in self._pictures
            )
            return train, evaluation
        cached_train, cached_evaluation = self._features
        return cached_train[end], cached_evaluation[end]

    @cached_property
    def _features(self) -> tuple[dict[str, Features], dict[str, Features]]:
        def report(done: int, total: int) -> None:
            progress.emit("progress", stage=self._stage, done=done, total=total)

        train, evaluation = (
            self._caches[name].features(files, report) for name, files in self._files.items()
        )
        return train, evaluation

    @cached_property
    def _pictures(self) -> tuple[Pictures, Pictures]:
        train, evaluation = (
            Pictures(
                files,
                self._folder / f"{name}.pictures",
                self._settings.image_size,
                self._settings.augmentation,
            )
            for name, files in self._files.items()
        )
        return train, evaluation


def frozen_ends(posture_model: keras.Model, settings: TrainerSettings) -> set[str]:
    """The layers that phases may start from, see `network.frozen_end`."""
    opened = (open_phase(posture_model, phase, settings) for phase in phases(settings))
    return {end for end in opened if end}


def class_weights(labels: np.ndarray) -> dict[int, float]:
    """Weights that give each class the same say in the loss.

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


def open_phase(posture_model: keras.Model, phase: Phase, settings: TrainerSettings) -> str | None:
    """Freezes what a phase does not train.

    Returns:
      The layer up to which all is frozen, see `network.frozen_end`.
    """
    if phase.name == "head":
        network.freeze_base(posture_model)
    elif phase.name == "fine_tune":
        network.open_layers(posture_model, settings.frozen_layers)
    return network.frozen_end(posture_model)


def _sampling(train: Examples, settings: TrainerSettings, views: int) -> Sampling:
    balance = settings.class_balance
    return Sampling(
        batch_size=settings.batch_size,
        views=views,
        oversample=balance == "oversample",
        class_weights=class_weights(train.labels) if balance == "weights" else {},
        mixup=settings.mixup,
        seed=settings.seed,
    )


# --- training -----------------------------------------------------------------


class ReportProgress(keras.callbacks.Callback):
    """Tells the watching process about each epoch."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self._phase = phase

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Emits the epoch's figures."""
        figures = {name: float(value) for name, value in (logs or {}).items()}
        progress.emit(
            "epoch", phase=self._phase.name, epoch=epoch + 1, epochs=self._phase.epochs, **figures
        )


class ResumedEarlyStopping(keras.callbacks.EarlyStopping):
    """EarlyStopping that remembers the epochs before an interruption."""

    def __init__(self, past: list[dict[str, float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._past = past

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Replays what it had already seen."""
        super().on_train_begin(logs)
        for row in self._past:
            self.on_epoch_end(int(row["epoch"]), row)


def train_phase(
    trained: keras.Model,
    phase: Phase,
    train: tf.data.Dataset,
    evaluation: tf.data.Dataset,
    patience: int,
    backup: Path,
    logs: Path,
) -> list[dict[str, float]]:
    """Trains one phase, or what is left of it, and leaves it its last weights.

    A phase that early stopping ended gets those with the lowest eval loss.

    Args:
      trained: with the layers of the phase already opened; from pictures or stored
        features, as the data has them, to probabilities.
      phase: how long and how fast. The rate rises over the first tenth of the steps and
        then falls to nothing along a cosine (Loshchilov and Hutter 2017), so that the
        last epochs settle.
      train: one epoch of training batches.
      evaluation: the eval split; its loss decides about early stopping.
      patience: epochs without a lower eval loss before the phase ends.
      backup: folder of this phase that outlives a killed run.
      logs: folder for TensorBoard.

    Returns:
      The figures of each epoch, those before an interruption included.
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
        trained.fit(
            train,
            validation_data=evaluation,
            initial_epoch=len(checkpoint.history),
            epochs=phase.epochs,
            verbose=0,
            callbacks=[
                ResumedEarlyStopping(checkpoint.history, monitor="val_loss", patience=patience),
                keras.callbacks.TensorBoard(str(logs), write_graph=False),
                ReportProgress(phase),
                # Last: an epoch counts as done when everything about it is written.
                checkpoint,
            ],
        )
        # What ran to its end has settled; the eval split is too small to know better.
        if len(checkpoint.history) < phase.epochs:
            checkpoint.restore_best(trained)
        checkpoint.finish(trained)
    return checkpoint.history


def fit(
    posture_model: keras.Model,
    settings: TrainerSettings,
    examples: Callable[[str | None], tuple[Examples, Examples]],
    backup: Path,
    logs: Path,
) -> dict[str, list[dict[str, float]]]:
    """Trains a model in phases.

    Args:
      posture_model: from `network.build_model`; is trained.
      settings: of the training.
      examples: gives training and eval split for the layer that a phase may start
        from (`network.frozen_end`).
      backup: folder that outlives a killed run.
      logs: folder for TensorBoard.

    Returns:
      The figures of each epoch by phase.
    """
    history = {}
    with strategy(settings).scope():
        trained = _copy(posture_model, settings) if settings.mirrored else posture_model
        for phase in phases(settings):
            end = open_phase(trained, phase, settings)
            train, evaluation = examples(end)
            history[phase.name] = train_phase(
                network.after(trained, train.end),
                phase,
                training_data(train, _sampling(train, settings, settings.views_from(end))),
                evaluation_data(evaluation, settings.batch_size),
                settings.early_stopping_patience,
                backup / phase.name,
                logs / phase.name,
            )
    if settings.mirrored:
        open_phase(posture_model, phases(settings)[-1], settings)
        posture_model.set_weights(trained.get_weights())
    return history


def _copy(posture_model: keras.Model, settings: TrainerSettings) -> keras.Model:
    """The same model anew: what a strategy trains is built in its scope, and stays in it."""
    copy = network.build_model(settings.image_size, settings.alpha, settings.base_weights)
    copy.set_weights(posture_model.get_weights())
    return copy


def calibrate(
    posture_model: keras.Model, evaluation: Examples, settings: TrainerSettings
) -> calibration.Calibration:
    """Fits a trained model's temperature on the eval split and chooses when it is sure.

    Args:
      posture_model: its temperature is set.
      evaluation: the eval split.
      settings: of the training.

    Returns:
      What was fitted and chosen.
    """
    answering = network.after(posture_model, evaluation.end, network.LOGITS)
    logits = answering.predict(evaluation_data(evaluation, settings.batch_size), verbose=0)
    calibrated = calibration.calibrate(
        logits, evaluation.labels, evaluation.clips, settings.wanted_accuracy
    )
    network.set_temperature(posture_model, calibrated.temperature)
    return calibrated


def _draw_curves(history: dict[str, list[dict[str, float]]], path: Path) -> None:
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    start = 1
    for name, rows in history.items():
        epochs = range(start, start + len(rows))
        for axis, figure_name in zip(axes, ("loss", "accuracy"), strict=True):
            for key, style in ((figure_name, "--"), (f"val_{figure_name}", "-")):
                side = "eval" if key.startswith("val_") else "train"
                axis.plot(epochs, [row[key] for row in rows], style, label=f"{name}, {side}")
            axis.set(xlabel="epoch", title=figure_name)
        start += len(rows)
    axes[0].legend()
    figure.savefig(path)


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))


def _backup_folder(fn_args: fn_args_utils.FnArgs, settings: TrainerSettings) -> Path:
    """One folder for each training: the same data, code and settings find it again.

    Whatever accuracy is wanted: it decides about the threshold, not about the weights.
    """
    identity = [
        fn_args.custom_config | {"settings": asdict(replace(settings, wanted_accuracy=0.0))},
        sorted(fn_args.train_files),
        sorted(fn_args.eval_files),
    ]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    root = Path(fn_args.custom_config["backup_root"])
    for abandoned in root.glob("*"):
        if abandoned.name != digest:
            shutil.rmtree(abandoned)
    return root / digest


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains the model and exports it; TFX's Trainer calls this.

    Args:
      fn_args: paths of the transformed splits and of the outputs; `custom_config`
        holds `settings` (TrainerSettings as a dict), `backup_root`, `cache_root`, and the
        digests of code and base weights. `hyperparameters`, if the Tuner found some, take
        the place of settings.
    """
    settings = TrainerSettings(**fn_args.custom_config["settings"])
    if fn_args.hyperparameters:
        found = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters)
        settings = replace(settings, **found.values)
    keras.utils.set_random_seed(settings.seed)
    backup = _backup_folder(fn_args, settings)
    pictures = backup / "pictures"
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)

    posture_model = network.build_model(settings.image_size, settings.alpha, settings.base_weights)
    splits = Splits(fn_args, posture_model, settings, pictures, "Trainer")
    history = fit(posture_model, settings, splits, backup, run_dir / "tensorboard")

    train, evaluation = splits(network.frozen_end(posture_model))
    calibrated = calibrate(posture_model, evaluation, settings)
    summary = {
        "settings": asdict(settings),
        "examples": len(train.labels),
        "class_weights": _sampling(train, settings, 1).class_weights,
        "phases": history,
        "calibration": asdict(calibrated),
    }
    (run_dir / "history.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    _draw_curves(history, run_dir / "curves.png")
    posture_model.save(run_dir / "model.keras")
    module = signatures.ServingModule(
        posture_model,
        tft.TFTransformOutput(fn_args.transform_graph_path),
        settings.ingest_size,
        settings.image_size,
        settings.fit,
        calibrated.threshold,
    )
    signatures.export(module, fn_args.serving_model_dir)
    if pictures.exists():
        shutil.rmtree(pictures)
