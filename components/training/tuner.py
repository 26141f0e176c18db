"""The Tuner's entry point: searches learning rates and mixup for a given time.

The first trial has the settings as they are, so that the result is never worse on eval. All
trials, and the Trainer after them, share the stored features of the frozen layers.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import keras
import keras_tuner
from keras_tuner.engine import base_tuner
from keras_tuner.engine import trial as trials
from tfx.components.trainer import fn_args_utils
from tfx.components.tuner.component import TunerFnResult

from components import progress
from components.errors import InputError
from components.training import network, phases, trainer
from components.training.splits import Splits
from components.training.trainer_settings import TrainerSettings
from components.training.training_data import evaluation_data

OBJECTIVE: Final = "calibrated_eval_loss"
# Learning rates are searched from a tenth of the setting to ten times it.
DECADE: Final = 10.0
MOST_MIXUP: Final = 1.0
# High enough that only the time limit ends a search.
MAX_TRIALS: Final = 1000


def search_space(settings: TrainerSettings) -> keras_tuner.HyperParameters:
    """The search space, named as the settings and with their values as defaults.

    Augmentation strength and number of views are left out: each value would need features of
    its own.
    """
    rates = {
        "head": "head_learning_rate",
        "fine_tune": "fine_tune_learning_rate",
        "scratch": "scratch_learning_rate",
    }
    space = keras_tuner.HyperParameters()
    for phase in phases.planned(settings):
        rate = phase.learning_rate
        space.Float(rates[phase.name], rate / DECADE, rate * DECADE, sampling="log", default=rate)
    space.Float("mixup", 0.0, max(MOST_MIXUP, settings.mixup), default=settings.mixup)
    return space


class TimedOracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimisation that starts no trial that is likely to exceed the time limit.

    Args:
      space: the search space; its defaults are the first trial.
      minutes: time limit, from the first trial on. The first trial is always run.
      seed: of the optimiser.
      clock: seconds, from any origin.
    """

    def __init__(
        self,
        space: keras_tuner.HyperParameters,
        minutes: float,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            max_trials=MAX_TRIALS,
            hyperparameters=space,
            seed=seed,
        )
        self._seconds, self._clock = minutes * 60, clock
        self._begun: list[float] = []

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Chooses the next values, or ends the search."""
        now = self._clock()
        if not self._begun:
            self._begun.append(now)
            return {"status": trials.TrialStatus.RUNNING, "values": self.get_space().values}
        longest = max(
            end - start for start, end in zip(self._begun, [*self._begun[1:], now], strict=True)
        )
        if now + longest > self._begun[0] + self._seconds:
            return {"status": trials.TrialStatus.STOPPED}
        self._begun.append(now)
        return super().populate_space(trial_id)


class TrainingTuner(base_tuner.BaseTuner):
    """Trains the posture model once for each trial."""

    def run_trial(
        self,
        trial: trials.Trial,
        settings: TrainerSettings,
        splits: Splits,
        folder: Path,
    ) -> dict[str, float]:
        """Trains with a trial's values.

        Args:
          trial: the values.
          settings: for everything that the trial does not set.
          splits: training and eval split.
          folder: for temporary files.

        Returns:
          Cross entropy of the calibrated probabilities on eval: unlike the training loss, it
          does not depend on a confidence that calibration will change.
        """
        tried = replace(settings, **trial.hyperparameters.values)
        try:
            with TemporaryDirectory(dir=folder) as scratch:
                loss = _eval_loss(tried, splits, Path(scratch))
        except Exception as error:
            # KerasTuner would take any other exception for a failed trial, and go on.
            raise keras_tuner.errors.FatalRuntimeError(str(error)) from error
        scores = [each.score for each in self.oracle.trials.values() if each.score is not None]
        number = len(self.oracle.trials)
        progress.emit("trial", trial=number, loss=loss, best=min([loss, *scores]))
        return {OBJECTIVE: loss}

    def on_search_end(self) -> None:
        """Refuses a search without a result."""
        if not self.oracle.get_best_trials():
            raise InputError(
                "The eval loss was not a number in any trial of the Tuner; lower the learning"
                " rates."
            )


def _eval_loss(settings: TrainerSettings, splits: Splits, folder: Path) -> float:
    keras.backend.clear_session()  # or the models of all trials stay in memory
    keras.utils.set_random_seed(settings.seed)
    candidate = network.build_model(settings.image_size, settings.alpha, settings.base_weights)
    phases.fit(candidate, settings, splits, folder, folder / "tensorboard")
    _, evaluation = splits(network.frozen_end(candidate))
    trainer.calibrate(candidate, evaluation, settings)
    answering = network.after(candidate, evaluation.end)
    answering.compile(loss="categorical_crossentropy")
    data = evaluation_data(evaluation, settings.batch_size)
    return float(answering.evaluate(data, verbose=0))


def tuner_fn(fn_args: fn_args_utils.FnArgs) -> TunerFnResult:
    """Prepares the search; TFX's Tuner calls this.

    Args:
      fn_args: paths of the transformed splits; `custom_config` holds `settings`
        (TrainerSettings as a dict), `cache_root`, and `minutes`, the time limit.

    Returns:
      The tuner, and the arguments of `run_trial`.
    """
    settings = TrainerSettings(**fn_args.custom_config["settings"])
    folder = Path(fn_args.working_dir)
    folder.mkdir(parents=True, exist_ok=True)
    untrained = network.build_model(settings.image_size, settings.alpha, settings.base_weights)
    splits = Splits(fn_args, untrained, settings, folder / "pictures", "Tuner")
    # Before the clock starts: the Trainer needs these features anyway.
    for end in phases.frozen_ends(untrained, settings):
        splits(end)
    oracle = TimedOracle(search_space(settings), fn_args.custom_config["minutes"], settings.seed)
    tuner = TrainingTuner(oracle, directory=str(folder), project_name="trials")
    return TunerFnResult(tuner, {"settings": settings, "splits": splits, "folder": folder})
