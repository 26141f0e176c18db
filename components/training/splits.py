"""Training and eval split, each as the features or pictures that a phase starts from."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import keras
import tensorflow as tf
from tfx.components.trainer import fn_args_utils

from components import progress
from components.training import network, phases
from components.training.frozen_features import FeatureCache, FreshFeatures
from components.training.trainer_settings import TrainerSettings
from components.training.training_data import Examples, Features, Pictures


class Splits:
    """Training and eval split: features where a phase can start from them, else pictures.

    With a cache, features are rounded to float16; without, they are computed in every epoch.

    Args:
      fn_args: patterns of the files of transformed examples; `custom_config` holds
        `cache_root`, the folder of the features that outlive the training.
      posture_model: not trained yet.
      settings: of the training.
      folder: for temporary copies of the pictures; may be removed after the training.
      stage: the component that progress of the frozen layers is reported for.
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
        ends = phases.frozen_ends(posture_model, settings)
        self._caches: dict[str, FeatureCache] = {}
        if ends and settings.feature_cache:
            cache_root = Path(fn_args.custom_config["cache_root"])
            # Eval pictures are not augmented.
            views = {"train": settings.views_from(network.POOL), "eval": 1}
            self._caches = {
                name: FeatureCache(
                    cache_root, posture_model, sorted(ends), views[name], settings.augmentation
                )
                for name in self._files
            }

    def __call__(self, end: str | None) -> tuple[Examples, Examples]:
        """Training and eval split for a phase that may start from layer `end`."""
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
            event = {"stage": self._stage, "done": done, "total": total}
            progress.emit("progress", **event, unit="pictures")

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


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
