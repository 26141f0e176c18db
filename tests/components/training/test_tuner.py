"""The search for hyperparameters: its budget, its first trial, and what the Trainer makes of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tfx.components.trainer.fn_args_utils import FnArgs

from components.training import trainer, tuner
from components.training.trainer_settings import TrainerSettings
from tests.support.small_training import SETTINGS, fn_args

GIVEN = replace(SETTINGS, base_weights="imagenet", head_learning_rate=1e-3, mixup=0.2)


class _Clock:
    """Tells the times that it was given, one after another."""

    def __init__(self, *times: float) -> None:
        self._times = iter(times)

    def __call__(self) -> float:
        return next(self._times)


def test_space_holds_the_rates_of_the_phases_about_their_settings() -> None:
    space = tuner.search_space(GIVEN)
    assert space.values == {
        "head_learning_rate": GIVEN.head_learning_rate,
        "fine_tune_learning_rate": GIVEN.fine_tune_learning_rate,
        "mixup": GIVEN.mixup,
    }
    assert set(tuner.search_space(SETTINGS).values) == {
        "scratch_learning_rate",
        "mixup",
    }
    assert set(space.values) <= set(TrainerSettings.__dataclass_fields__)


def test_first_trial_is_the_settings_however_little_time_there_is() -> None:
    oracle = tuner.TimedOracle(tuner.search_space(GIVEN), 0.0, 1, _Clock(0, 1))
    first = oracle.populate_space("0")
    assert first == {"status": "RUNNING", "values": tuner.search_space(GIVEN).values}
    assert oracle.populate_space("1")["status"] == "STOPPED"


def test_no_trial_begins_that_would_end_after_the_budget() -> None:
    # Trials of 20, 30 and 40 s: a fourth one of 40 s would end at 130 s.
    oracle = tuner.TimedOracle(tuner.search_space(GIVEN), 2.0, 1, _Clock(0, 20, 50, 90))
    values = [oracle.populate_space(trial)["values"] for trial in "012"]
    assert len({tuple(sorted(each.items())) for each in values}) == 3
    assert oracle.populate_space("3")["status"] == "STOPPED"


@pytest.fixture
def args(transformed: Path, transform_graph: Path, tmp_path: Path, base_weights: str) -> FnArgs:
    """What TFX gives to the Tuner; no time but for the first trial."""
    settings = replace(GIVEN, base_weights=base_weights)
    args = fn_args(transformed, transform_graph, tmp_path, settings, tmp_path / "backup")
    args.custom_config["minutes"] = 0.0
    args.working_dir = str(tmp_path / "work")
    return args


@pytest.mark.slow
def test_trainer_trains_with_what_the_tuner_found(args: FnArgs, tmp_path: Path) -> None:
    prepared = tuner.tuner_fn(args)
    assert list((tmp_path / "features").glob("*/*/rows")), "features come before the minutes"
    prepared.tuner.search(**prepared.fit_kwargs)
    (trial,) = prepared.tuner.oracle.get_best_trials(10)
    assert trial.score > 0
    found = prepared.tuner.get_best_hyperparameters()[0]
    found.values["mixup"] = 0.9
    args.hyperparameters = found.get_config()
    trainer.run_fn(args)
    summary = json.loads((tmp_path / "run" / "history.json").read_text())
    assert summary["settings"]["mixup"] == 0.9
    assert summary["settings"]["head_learning_rate"] == GIVEN.head_learning_rate


def test_fault_in_a_training_ends_the_search(args: FnArgs, tmp_path: Path) -> None:
    prepared = tuner.tuner_fn(args)
    broken = replace(GIVEN, base_weights=str(tmp_path / "gone.h5"))
    with pytest.raises(Exception, match="gone"):
        prepared.tuner.search(**prepared.fit_kwargs | {"settings": broken})
