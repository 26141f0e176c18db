"""PipelineConfig: the settings of a run, with defaults that work.

A run reads them from a TOML file (`--config run.toml`, keys as below) and lets
flags override them. Unknown keys, wrong types and values out of range are
refused with the key and what is allowed.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import InputError


class Splits(BaseModel):
    """Shares of the clips on each side, in hash buckets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int = Field(70, ge=1)
    eval: int = Field(15, ge=1)
    test: int = Field(15, ge=1)


class PipelineConfig(BaseModel):
    """Everything that decides what a run does. Paths are absolute after `load`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Where from, where to.
    data_root: Path
    output_root: Path = Path("output")
    base_weights: str = "imagenet"  # imagenet, none, or an .h5 file

    # Data.
    selection: Literal["labelled", "single_person"] = "labelled"
    ingest_size: int = Field(512, ge=64, le=4096)  # TFRecord images fit a square of this side
    fit: Literal["stretch", "border", "letterbox"] = "stretch"
    image_size: int = Field(224, ge=32, le=512)  # the model's input side
    splits: Splits = Splits()

    # Model and training.
    alpha: float = Field(1.0, gt=0, le=1.4)  # MobileNetV2's width multiplier
    frozen_layers: int = Field(100, ge=0, le=154)
    batch_size: int = Field(32, ge=1, le=1024)
    head_epochs: int = Field(6, ge=1)
    head_learning_rate: float = Field(3e-4, gt=0)
    fine_tune_epochs: int = Field(6, ge=0)
    fine_tune_learning_rate: float = Field(1e-5, gt=0)
    early_stopping_patience: int = Field(3, ge=1)
    class_balance: Literal["weights", "oversample", "none"] = "weights"
    augmentation: bool = True
    seed: int = Field(20240701, ge=0)

    # Gates.
    accuracy_floor: float = Field(0.87, ge=0, le=1.01)  # above 1 nothing is pushed
    tranche_accuracy_floor: float = Field(0.75, ge=0, le=1.01)
    max_accuracy_drop: float = Field(0.01, ge=0, le=1)  # against the blessed baseline
    max_label_drift: float = Field(0.3, gt=0, le=1)  # L-infinity distance between tranches


def load(path: Path | None, **overrides: Any) -> PipelineConfig:
    """Reads settings from a TOML file and lets non-None overrides win.

    Args:
      path: the TOML file, or None for the defaults alone.
      **overrides: settings by name; None means not given.

    Returns:
      The settings, with absolute paths. Relative paths in the file are taken
      from the current folder, as flags are.

    Raises:
      InputError: the file cannot be read, or a key or value is not allowed.
    """
    raise NotImplementedError
