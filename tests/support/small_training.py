"""A synthetic split, small enough to train on in a test, and the settings for it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from components.training.trainer_settings import TrainerSettings
from schema import features
from tests.support import examples
from tests.support.examples import Row

SETTINGS = TrainerSettings(
    base_weights="none",
    image_size=32,
    ingest_size=64,
    fit="stretch",
    alpha=0.35,
    frozen_layers=100,
    batch_size=4,
    head_epochs=1,
    head_learning_rate=1e-3,
    fine_tune_epochs=1,
    fine_tune_learning_rate=1e-5,
    scratch_epochs=3,
    scratch_learning_rate=1e-3,
    early_stopping_patience=5,
    class_balance="weights",
    augmentation=1.0,
    views=3,
    feature_cache=True,
    mixup=0.3,
    mirrored=False,
    seed=7,
    wanted_accuracy=0.4,
)
# 12 Sitting, 6 Standing, 2 Lying.
LABELS = [0] * 12 + [1] * 6 + [2] * 2


def write(path: Path, labels: list[int]) -> Path:
    """Writes one-coloured pictures, as Transform does; the colour tells the label."""

    def row(index: int, label: int) -> Row:
        pixels = np.full((32, 32, 3), 40 + 80 * label, np.uint8)
        pixels[0, 0] = index  # tells the pictures apart
        png = tf.io.encode_png(pixels).numpy()
        return {features.IMAGE: png, features.LABEL: label, features.CLIP: str(index // 2)}

    return examples.write(path, [row(index, label) for index, label in enumerate(labels)])


def fn_args(
    transformed: Path, graph: Path, out: Path, settings: TrainerSettings, backup: Path
) -> FnArgs:
    """What TFX gives to the Trainer."""
    return FnArgs(
        train_files=[str(transformed / "train" / "*")],
        eval_files=[str(transformed / "eval" / "*")],
        transform_graph_path=str(graph),
        serving_model_dir=str(out / "model"),
        model_run_dir=str(out / "run"),
        custom_config={
            "settings": asdict(settings),
            "backup_root": str(backup),
            "cache_root": str(out / "features"),
        },
    )
