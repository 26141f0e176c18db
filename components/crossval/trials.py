"""Trains recipes on parts of a pool, and keeps their answers for the rest."""

import hashlib
import json
import multiprocessing
import signal
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components import files, processes
from components.crossval.pool import Pool, Split
from components.crossval.recipes import LOGISTIC, ORIGINAL, VARIANTS
from components.errors import InputError, memory_was_short
from components.training import network, original_recipe, phases, trainer
from components.training.frozen_features import FeatureCache
from components.training.trainer_settings import TrainerSettings
from components.training.training_data import Examples, Features, Part, Pictures, evaluation_data

# One in seven of the training clips is set aside for early stopping and calibration.
EVAL_PARTS: Final = 7
# TensorFlow never frees some 150 MB of each training; a process of its own does, at its end.
TRIALS_PER_PROCESS: Final = 10

# What a `Report` is about.
FROZEN_LAYERS: Final = "frozen layers"
TRAININGS: Final = "trainings"

Probabilities = npt.NDArray[np.float32]
Report = Callable[[str, int, int], None]  # what, how much of it is done, how much there is


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
      recipe: one of `RECIPES`.
      split: the images to train on, and those held out.
      seed: of all random draws.
    """

    recipe: str
    split: Split
    seed: int


class Trials:
    """Runs trials, and keeps their answers.

    Args:
      pool: the images.
      settings: of the default recipe.
      cache_root: folder of stored features.
      folder: of the answers; a trial whose answers are there is not run again.
      code: digest of the training code; after a change all trials are run again.
    """

    def __init__(
        self, pool: Pool, settings: TrainerSettings, cache_root: Path, folder: Path, code: str
    ) -> None:
        self._pool, self._settings, self._folder = pool, settings, folder
        self._cache_root, self._code = cache_root, code
        self._features: dict[tuple[int, float], dict[str, Features]] = {}

    def path(self, trial: Trial) -> Path:
        """Where the answers of a trial are, once it is finished."""
        split = trial.split
        settings = asdict(self._settings_of(trial))
        identity = [trial.recipe, settings, split.train.tolist(), split.held_out.tolist()]
        identity += [self._pool.labels.tolist(), self._pool.clips.tolist(), self._code]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
        return self._folder / f"{digest}.npy"

    def answers(self, trial: Trial) -> Probabilities:
        """Calibrated probabilities of a finished trial's held-out images, [images, classes]."""
        return np.load(self.path(trial))

    def run(self, trial: Trial, report: Report) -> None:
        """Trains a recipe on one side of a split, and keeps its answers for the other.

        Args:
          trial: which one.
          report: is told the progress of the frozen layers.
        """
        settings, split = self._settings_of(trial), trial.split
        keras.utils.set_random_seed(trial.seed)
        if trial.recipe == LOGISTIC:
            found = self._logistic(settings, split, report)
        elif trial.recipe == ORIGINAL:
            found = self._original(settings, split)
        else:
            found = self._phases(settings, split, report)
        with files.replacing(self.path(trial), "wb") as file:
            np.save(file, found)
        keras.backend.clear_session()

    def _settings_of(self, trial: Trial) -> TrainerSettings:
        return replace(self._settings, **VARIANTS.get(trial.recipe, {}), seed=trial.seed)

    def _stored(
        self, posture_model: keras.Model, settings: TrainerSettings, report: Report
    ) -> dict[str, Features]:
        views = settings.views_from(network.POOL)
        ends = phases.frozen_ends(posture_model, settings)
        key = (views, settings.augmentation)
        if key not in self._features or not ends <= set(self._features[key]):
            cache = FeatureCache(
                self._cache_root, posture_model, sorted(ends), views, settings.augmentation
            )
            self._features[key] = cache.features(
                self._pool.files, lambda done, total: report(FROZEN_LAYERS, done, total)
            )
        return self._features[key]

    def _phases(self, settings: TrainerSettings, split: Split, report: Report) -> Probabilities:
        parts = StratifiedGroupKFold(EVAL_PARTS, shuffle=True, random_state=settings.seed)
        clips, labels = self._pool.clips[split.train], self._pool.labels[split.train]
        train, evaluation = (split.train[side] for side in next(parts.split(labels, labels, clips)))
        posture_model = network.build_model(
            settings.image_size, settings.alpha, settings.base_weights
        )
        stored = self._stored(posture_model, settings, report)

        def whole(end: str | None) -> Examples:
            return stored[end] if end else self._pictures(settings)

        def examples(end: str | None) -> tuple[Examples, Examples]:
            return Part(whole(end), train), Part(whole(end), evaluation)

        with tempfile.TemporaryDirectory() as folder:
            phases.fit(posture_model, settings, examples, Path(folder), Path(folder, "logs"))
        end = network.frozen_end(posture_model)
        trainer.calibrate(posture_model, Part(whole(end), evaluation), settings)
        answering = network.after(posture_model, end)
        return answering.predict(
            evaluation_data(Part(whole(end), split.held_out), settings.batch_size), verbose=0
        )

    def _pictures(self, settings: TrainerSettings) -> Pictures:
        path = Path(self._pool.files[0]).with_name("pictures")
        return Pictures(self._pool.files, path, settings.image_size, settings.augmentation)

    def _logistic(self, settings: TrainerSettings, split: Split, report: Report) -> Probabilities:
        posture_model = network.build_model(
            settings.image_size, settings.alpha, settings.base_weights
        )
        plain = replace(settings, augmentation=0.0, fine_tune_epochs=0)
        stored = self._stored(posture_model, plain, report)[network.POOL]
        pooled = stored.store.read(stored.positions, np.zeros(len(stored.labels), np.int64))
        regression = make_pipeline(
            StandardScaler(),
            LogisticRegression(class_weight="balanced", max_iter=1000, random_state=settings.seed),
        )
        regression.fit(pooled[split.train].astype(np.float32), stored.labels[split.train])
        return regression.predict_proba(pooled[split.held_out].astype(np.float32)).astype(
            np.float32
        )

    def _original(self, settings: TrainerSettings, split: Split) -> Probabilities:
        pictures = self._pictures(settings)
        return original_recipe.train_and_predict(
            Part(pictures, split.train),
            Part(pictures, split.held_out),
            settings.image_size,
            settings.alpha,
            settings.base_weights,
            settings.seed,
        )


def run_missing(trials: Trials, wanted: Sequence[Trial], report: Report) -> None:
    """Runs the trials that are not finished, `TRIALS_PER_PROCESS` in a process at a time.

    Args:
      trials: runs them.
      wanted: which ones.
      report: is told the progress of the frozen layers and of the trainings.

    Raises:
      InputError: a process was killed, failed, or ran out of memory.
      OSError: a trial raised it.
    """
    missing = [trial for trial in wanted if not trials.path(trial).exists()]
    finished = len(wanted) - len(missing)
    report(TRAININGS, finished, len(wanted))
    context = multiprocessing.get_context("spawn")
    for start in range(0, len(missing), TRIALS_PER_PROCESS):
        some = missing[start : start + TRIALS_PER_PROCESS]
        receiver, sender = context.Pipe(duplex=False)
        given = (trials, some, finished + start, len(wanted), sender)
        # A daemon process ends with this one, also if the user interrupts it.
        child = context.Process(target=_run_some, args=given, daemon=True)
        child.start()
        sender.close()  # the child has its own, whose end `_hear` notices
        with receiver:
            while (heard := _hear(receiver)) is not None:
                if isinstance(heard, Exception):
                    raise heard
                report(*heard)
        child.join()
        if child.exitcode:
            raise InputError(_why_ended(child.exitcode))


def _hear(receiver: Connection) -> Any:
    try:
        return receiver.recv()
    except EOFError:
        return None


def _why_ended(status: int) -> str:
    if status > 0:
        return f"A training failed with status {status}; its error is above."
    return (
        f"A training was killed by signal {signal.Signals(-status).name}; the kernel does that"
        " when memory runs out. The same command continues after the finished trainings."
    )


def _run_some(
    trials: Trials, some: Sequence[Trial], finished: int, total: int, sender: Connection
) -> None:
    """The work of a child process; `finished` of `total` trials are done when it starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells the user, and ends it
    processes.hush_libraries()

    def report(*words: str | int) -> None:
        sender.send(words)

    for number, trial in enumerate(some, start=finished + 1):
        try:
            trials.run(trial, report)
        except (InputError, OSError) as error:
            sender.send(error)
            return
        except Exception as error:
            words = "".join(traceback.format_exception_only(error)).strip()
            if not (sentence := memory_was_short(words)):
                raise
            sender.send(InputError(sentence))
            return
        report(TRAININGS, number, total)
