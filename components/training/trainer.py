"""The Trainer's entry point: trains in phases, calibrates, exports."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import keras
import keras_tuner
import tensorflow_transform as tft
from tfx.components.trainer import fn_args_utils

from components import progress
from components.training import calibration, model_run, network, phases, signatures
from components.training.splits import Splits
from components.training.trainer_settings import TrainerSettings
from components.training.training_data import Examples, evaluation_data
from schema import features


def calibrate(
    posture_model: keras.Model, evaluation: Examples, settings: TrainerSettings
) -> calibration.Calibration:
    """Sets a trained model's temperature and chooses its threshold, both on the eval split.

    Args:
      posture_model: its temperature is set.
      evaluation: the eval split.
      settings: of the training.
    """
    answering = network.after(posture_model, evaluation.end, network.LOGITS)
    logits = answering.predict(evaluation_data(evaluation, settings.batch_size), verbose=0)
    calibrated = calibration.calibrate(
        logits, evaluation.labels, evaluation.clips, settings.wanted_accuracy
    )
    network.set_temperature(posture_model, calibrated.temperature)
    return calibrated


def run_fn(fn_args: fn_args_utils.FnArgs) -> None:
    """Trains the model and exports it; TFX's Trainer calls this.

    Args:
      fn_args: paths of the transformed splits and of the outputs; `custom_config`
        holds `settings` (TrainerSettings as a dict), `backup_root`, `cache_root`, and the
        digests of code and base weights. `hyperparameters`, if the Tuner found some, replace
        settings.
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

    progress.emit("doing", what="building the network")
    posture_model = network.build_model(settings.image_size, settings.alpha, settings.base_weights)
    splits = Splits(fn_args, posture_model, settings, pictures, "Trainer")
    trained = phases.fit(posture_model, settings, splits, backup, run_dir / "tensorboard")

    progress.emit("doing", what="calibrating")
    train, evaluation = splits(network.frozen_end(posture_model))
    calibrated = calibrate(posture_model, evaluation, settings)
    summary = {
        "settings": asdict(settings),
        "postures": features.POSTURES,
        "examples": len(train.labels),
        "class_weights": phases.sampling(train.labels, settings, 1).class_weights,
        "phases": {name: asdict(phase) for name, phase in trained.items()},
        "calibration": asdict(calibrated),
    }
    (run_dir / model_run.HISTORY).write_text(json.dumps(summary, indent=2), encoding="utf-8")
    posture_model.save(run_dir / model_run.KERAS_MODEL)
    progress.emit("doing", what="exporting the model")
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


def _backup_folder(fn_args: fn_args_utils.FnArgs, settings: TrainerSettings) -> Path:
    """The folder of a training, the same for the same data, code and settings.

    The wanted accuracy does not count: it decides about the threshold, not about the weights.
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
