"""Phases: which there are, when they end, what they keep, and kills between any two writes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.training import checkpoint, phases
from components.training.phases import Phase, TrainedPhase
from tests.support.small_training import LABELS, SETTINGS


def test_class_weights_give_each_class_the_same_say() -> None:
    weights = phases.class_weights(np.array(LABELS))
    assert {label: weights[label] * LABELS.count(label) for label in weights} == pytest.approx(
        dict.fromkeys(range(3), len(LABELS) / 3)
    )


def test_absent_class_gets_no_weight() -> None:
    assert set(phases.class_weights(np.array([0, 0, 1]))) == {0, 1}


def test_phases() -> None:
    assert [phase.name for phase in phases.planned(SETTINGS)] == ["scratch"]
    given = replace(SETTINGS, base_weights="imagenet")
    assert [phase.name for phase in phases.planned(given)] == ["head", "fine_tune"]
    head_only = replace(given, fine_tune_epochs=0)
    assert [phase.name for phase in phases.planned(head_only)] == ["head"]


def test_batches_are_told_of_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [50.0], list[dict[str, Any]]()
    monkeypatch.setattr(phases.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(phases.progress, "emit", lambda event, **of: told.append(of))
    report = phases.ReportProgress(Phase("head", 20, 0.1))
    report.set_params({"steps": 30})
    report.on_epoch_begin(1)
    for batch in range(30):
        report.on_train_batch_end(batch)
        now[0] += 0.3
    assert [each["batch"] for each in told] == list(range(1, 31, 4))
    where = {"phase": "head", "epoch": 2, "epochs": 20, "batches": 30}
    assert all(each.items() >= where.items() for each in told)


LOSSES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=12)


def _history(losses: list[float]) -> checkpoint.Epochs:
    return [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses)]


@given(LOSSES, st.integers(1, 5))
def test_a_phase_ends_when_early_stopping_of_keras_would_end_it(
    losses: list[float], patience: int
) -> None:
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience)
    stopping.set_model(keras.Sequential([keras.layers.Dense(1)]))
    stopping.model.stop_training = False
    stopping.on_train_begin()
    phase = Phase("any", len(losses) + 1, 0.1)
    for seen, loss in enumerate(losses, start=1):
        stopping.on_epoch_end(seen - 1, {"val_loss": loss})
        history = _history(losses[:seen])
        assert phases.has_ended(history, phase, patience) == stopping.model.stop_training
        if stopping.model.stop_training:
            assert losses[phases.kept_epoch(history, phase)] == stopping.best
            return


def test_losses_that_are_no_number_are_never_the_best() -> None:
    nan = float("nan")
    phase = Phase("any", 9, 0.1)
    assert phases.kept_epoch(_history([nan, 0.5, nan, 0.6]), phase) == 1
    assert not phases.has_ended(_history([nan, nan, 0.5]), phase, 2)
    assert phases.has_ended(_history([nan, nan, nan]), phase, 2)


def test_a_phase_that_used_up_its_epochs_keeps_the_last_one() -> None:
    history = _history([0.1, 0.2, 0.3])
    assert phases.kept_epoch(history, Phase("any", 3, 0.1)) == 2
    assert phases.has_ended(history, Phase("any", 3, 0.1), patience=9)
    assert not phases.has_ended([], Phase("any", 3, 0.1), patience=1)


class _KilledError(Exception):
    """Stands for a kill: raised between two writes."""


def _train(folder: Path, epochs: int) -> tuple[TrainedPhase, list[np.ndarray]]:
    """Trains a small model whose eval loss only rises, as a new process would."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "softmax")])
    inputs = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[(inputs[:, 0] > 0).astype(int)]
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(4)
    opposite = tf.data.Dataset.from_tensor_slices((inputs, targets[:, ::-1])).batch(4)
    phase = Phase("any", epochs, 0.05)
    trained = phases.train_phase(
        model, phase, data, opposite, 2, folder / "backup", folder / "logs"
    )
    return trained, model.get_weights()


def _killed_at(number: int, after: bool, real: Callable[..., None]) -> Callable[..., None]:
    """What takes the place of a function: the call of this number, from 0, is the last."""
    calls: list[int] = []

    def call(*arguments: Any) -> None:
        calls.append(number)
        if len(calls) <= number or after:
            real(*arguments)
        if len(calls) > number:
            raise _KilledError

    return call


@pytest.mark.parametrize("epochs", [2, 4])
def test_a_kill_between_any_two_writes_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    """With 2 epochs the phase uses them up; with 4 early stopping ends it after the third."""
    expected, weights = _train(tmp_path / "whole", epochs)
    ran = min(epochs, 3)
    assert (len(expected.epochs), expected.kept_epoch) == (ran, 2 if epochs == 2 else 1)
    # The epochs and the end of the phase are published; a kill comes right before or after.
    for number in range(ran + 1):
        for after in (False, True):
            folder = tmp_path / f"{number} {after}"
            with monkeypatch.context() as patched:
                killed = _killed_at(number, after, checkpoint.files.publish)
                patched.setattr(checkpoint.files, "publish", killed)
                with pytest.raises(_KilledError):
                    _train(folder, epochs)
            found, resumed = _train(folder, epochs)
            assert found == expected, (number, after)
            for value, same in zip(resumed, weights, strict=True):
                np.testing.assert_array_equal(value, same, str((number, after)))
