"""The Trainer's entry point: reads, trains in phases, exports.

With given base weights there are two phases, the head on the frozen base and
then the open layers at a small rate; without them one phase trains everything.
Then the probabilities are calibrated on the eval split.
A killed run goes on in the epoch where it was.
"""

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from matplotlib.figure import Figure
from tfx.components.trainer import fn_args_utils

from components import augmentation, calibration, model, progress, signatures
from schema import features

# Serialized pictures of about 70 KB: the buffer stays near 150 MB however many images.
SHUFFLE_BUFFER: Final = 2048
# The splits come tranche by tranche. Pieces of this many pictures are read from all
# over the split at once, so that every batch is mixed.
PIECE: Final = 256
PIECES_AT_ONCE: Final = 16
CLASSES: Final = len(features.POSTURES)


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
    augmentation: bool
    seed: int
    wanted_accuracy: float


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


# --- data ---------------------------------------------------------------------


def split_into_pieces(files: Sequence[str], folder: Path) -> tuple[list[str], np.ndarray]:
    """Copies a split into many small files, so that it can be read in any order.

    Args:
      files: gzipped TFRecords of transformed examples.
      folder: where the pieces go; what was there is removed.

    Returns:
      The pieces, plain TFRecords of `PIECE` examples, and the labels, int64
      [examples], both in the files' order.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec = {features.LABEL: tf.io.FixedLenFeature([], tf.int64)}
    pieces: list[str] = []
    labels = [np.zeros(0, np.int64)]
    for records in tf.data.TFRecordDataset(files, "GZIP").batch(PIECE):
        labels.append(tf.io.parse_example(records, spec)[features.LABEL].numpy())
        pieces.append(str(folder / f"{len(pieces):06d}.tfrecord"))
        with tf.io.TFRecordWriter(pieces[-1]) as writer:
            for record in records.numpy():
                writer.write(record)
    return pieces, np.concatenate(labels)


def _parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    spec = {
        features.IMAGE: tf.io.FixedLenFeature([], tf.string),
        features.LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(record, spec)
    return example[features.IMAGE], example[features.LABEL]


def _decode(png: tf.Tensor, size: int) -> tf.Tensor:
    return tf.ensure_shape(tf.io.decode_png(png, channels=3), [size, size, 3])


def evaluation_data(
    pieces: Sequence[str], examples: int, settings: TrainerSettings
) -> tf.data.Dataset:
    """Streams pictures as they are, in the files' order.

    Args:
      pieces: `split_into_pieces` of the transformed eval split.
      examples: how many they hold; Keras wants to know the length of an epoch.
      settings: of the run.

    Returns:
      Batches of (float32 [batch, size, size, 3] in 0..255, int64 [batch]).
    """
    size = settings.image_size
    return (
        tf.data.TFRecordDataset(pieces)
        .apply(tf.data.experimental.assert_cardinality(examples))
        .map(_parse)
        .map(
            lambda png, label: (tf.cast(_decode(png, size), tf.float32), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(settings.batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def training_data(
    pieces: Sequence[str], labels: np.ndarray, settings: TrainerSettings
) -> tf.data.Dataset:
    """Streams one epoch of shuffled, balanced, augmented pictures.

    Args:
      pieces: `split_into_pieces` of the transformed training split, and no other:
        oversampling copies within it, never across the split.
      labels: of the same examples.
      settings: of the run.

    Returns:
      Batches of (float32 [batch, size, size, 3] in 0..255, int64 [batch]), as many
      pictures as `labels`; another order and other pictures in each epoch.
    """
    size, seed = settings.image_size, settings.seed
    examples = (
        tf.data.Dataset.from_tensor_slices(list(pieces))
        .shuffle(len(pieces), seed=seed)
        .interleave(tf.data.TFRecordDataset, cycle_length=PIECES_AT_ONCE)
        .map(_parse)
    )
    if settings.class_balance == "oversample":
        present = np.unique(labels)
        examples = tf.data.Dataset.sample_from_datasets(
            [
                examples.filter(lambda _, label, own=own: label == own)
                .shuffle(SHUFFLE_BUFFER // len(present), seed=seed)
                .repeat()
                for own in present
            ],
            seed=seed,
            rerandomize_each_iteration=True,
        ).take(len(labels))
    else:
        examples = examples.shuffle(SHUFFLE_BUFFER, seed=seed)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)

    def picture(
        example: tuple[tf.Tensor, tf.Tensor], own_seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        png, label = example
        image = _decode(png, size)
        if settings.augmentation:
            return augmentation.augment(image, own_seed), label
        return tf.cast(image, tf.float32), label

    return (
        tf.data.Dataset.zip((examples, seeds))
        .apply(tf.data.experimental.assert_cardinality(len(labels)))
        .map(picture, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(settings.batch_size)
        .prefetch(2)
    )


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


def read_history(path: Path) -> list[dict[str, float]]:
    """Reads the epochs that CSVLogger wrote, the last row of each epoch."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return list({row["epoch"]: row for row in rows}.values())


def train_phase(
    posture_model: keras.Model,
    phase: Phase,
    steps: int,
    train: tf.data.Dataset,
    evaluation: tf.data.Dataset,
    weights: dict[int, float] | None,
    patience: int,
    backup: Path,
    logs: Path,
) -> list[dict[str, float]]:
    """Trains one phase, or what is left of it, and loads its best weights.

    Args:
      posture_model: with the layers of the phase already opened.
      phase: how long and how fast. The rate falls to nothing along a cosine
        (Loshchilov and Hutter 2017), so that the last epochs settle.
      steps: batches in an epoch.
      train: one epoch of training batches.
      evaluation: the eval split; its loss decides which weights are the best.
      weights: class weights, or None.
      patience: epochs without a lower eval loss before the phase ends.
      backup: folder of this phase that outlives a killed run.
      logs: folder for TensorBoard.

    Returns:
      The figures of each epoch, those before an interruption included.
    """
    backup.mkdir(parents=True, exist_ok=True)
    best, table, done = backup / "best.weights.h5", backup / "history.csv", backup / "done"
    posture_model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(phase.learning_rate, steps * phase.epochs)
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA on CPU trains this model ten times slower
    )
    if not done.exists():
        past = read_history(table)
        lowest = min((row["val_loss"] for row in past), default=None)
        posture_model.fit(
            train,
            validation_data=evaluation,
            epochs=phase.epochs,
            class_weight=weights,
            verbose=0,
            callbacks=[
                keras.callbacks.ModelCheckpoint(
                    str(best),
                    save_best_only=True,
                    save_weights_only=True,
                    initial_value_threshold=lowest,
                ),
                ResumedEarlyStopping(past, monitor="val_loss", patience=patience),
                keras.callbacks.CSVLogger(str(table), append=True),
                keras.callbacks.TensorBoard(str(logs), write_graph=False),
                ReportProgress(phase),
                # Last: an epoch counts as done when everything about it is written.
                keras.callbacks.BackupAndRestore(
                    str(backup / "state"), double_checkpoint=True, delete_checkpoint=False
                ),
            ],
        )
        done.touch()
    posture_model.load_weights(str(best))
    return read_history(table)


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


def _backup_folder(fn_args: fn_args_utils.FnArgs) -> Path:
    """One folder for each training: the same data, code and settings find it again."""
    identity = [fn_args.custom_config, sorted(fn_args.train_files), sorted(fn_args.eval_files)]
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
        holds `settings` (TrainerSettings as a dict), `backup_root`, and the digests of
        code and base weights.
    """
    settings = TrainerSettings(**fn_args.custom_config["settings"])
    keras.utils.set_random_seed(settings.seed)
    backup = _backup_folder(fn_args)
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)

    train_pieces, labels = split_into_pieces(_files(fn_args.train_files), backup / "train")
    eval_pieces, eval_labels = split_into_pieces(_files(fn_args.eval_files), backup / "eval")
    train = training_data(train_pieces, labels, settings)
    evaluation = evaluation_data(eval_pieces, len(eval_labels), settings)
    weights = class_weights(labels) if settings.class_balance == "weights" else None

    posture_model = model.build_model(settings.image_size, settings.alpha, settings.base_weights)
    history = {}
    for phase in phases(settings):
        if phase.name == "head":
            model.freeze_base(posture_model)
        elif phase.name == "fine_tune":
            model.open_layers(posture_model, settings.frozen_layers)
        history[phase.name] = train_phase(
            posture_model,
            phase,
            math.ceil(len(labels) / settings.batch_size),
            train,
            evaluation,
            weights,
            settings.early_stopping_patience,
            backup / phase.name,
            run_dir / "tensorboard" / phase.name,
        )

    logits = model.logits(posture_model).predict(evaluation, verbose=0)
    calibrated = calibration.calibrate(logits, eval_labels, settings.wanted_accuracy)
    model.set_temperature(posture_model, calibrated.temperature)

    summary = {
        "settings": asdict(settings),
        "examples": len(labels),
        "class_weights": weights,
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
    shutil.rmtree(backup)
