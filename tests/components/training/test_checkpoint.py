"""Epochs that are kept: whole or not there, at whatever moment the process is killed."""

import math
import random
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from components import processes
from components.training.checkpoint import Checkpoint

EPOCHS = """
import itertools, sys
from pathlib import Path
from tests.components.training.test_checkpoint import epoch, small_model
from components.training.checkpoint import Checkpoint

trained = small_model()
checkpoint = Checkpoint(Path(sys.argv[1]))
checkpoint.set_model(trained)
for number in itertools.count(len(checkpoint.history)):
    epoch(checkpoint, number, eval_loss=float(number % 7))
    print(number, flush=True)
"""


def small_model() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(300_000, name="numbers")])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def epoch(checkpoint: Checkpoint, number: int, eval_loss: float) -> None:
    """An epoch that leaves its number in all weights."""
    layer = checkpoint.model.get_layer("numbers")
    layer.set_weights([np.full_like(weights, number) for weights in layer.get_weights()])
    checkpoint.on_epoch_end(number, {"val_loss": eval_loss})


def _numbers(model: keras.Model) -> set[float]:
    return {value for weights in model.get_layer("numbers").get_weights() for value in weights.flat}


def test_the_last_epoch_and_the_best_one_are_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.set_model(small_model())
    assert checkpoint.history == []
    for number, loss in enumerate([0.5, 0.25, 0.75]):
        epoch(checkpoint, number, loss)
    (tmp_path / ".incoming").mkdir()
    (tmp_path / ".incoming" / "state.weights.h5").write_bytes(b"cut short")

    again, trained = Checkpoint(tmp_path), small_model()
    assert [row["val_loss"] for row in again.history] == [0.5, 0.25, 0.75]
    again.restore(trained)
    assert _numbers(trained) == {2}
    again.restore_best(trained)
    assert _numbers(trained) == {1}
    again.set_model(trained)
    epoch(again, 3, 0.3)
    again.restore_best(trained)
    assert _numbers(trained) == {1}
    assert not again.is_finished
    again.finish(trained)

    finished, trained = Checkpoint(tmp_path), small_model()
    finished.restore(trained)
    assert finished.is_finished and len(finished.history) == 4 and _numbers(trained) == {1}
    assert [path.name for path in tmp_path.iterdir()] == ["finished"]


def test_an_eval_loss_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    checkpoint, trained = Checkpoint(tmp_path), small_model()
    checkpoint.set_model(trained)
    best = []
    for number, loss in enumerate([math.nan, 0.5, math.nan, 0.4]):
        epoch(checkpoint, number, loss)
        checkpoint.restore_best(trained)
        best.append(_numbers(trained))
    assert best == [{0}, {1}, {1}, {3}]


@pytest.mark.slow
def test_killed_at_any_moment_a_whole_epoch_is_left(tmp_path: Path) -> None:
    moments, before = random.Random(3), 0  # noqa: S311 (drawn moments, no secret)
    for _ in range(6):
        with subprocess.Popen(  # noqa: S603 (a command of ours)
            [sys.executable, "-P", "-c", EPOCHS, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=processes.environment(),
        ) as process:
            assert process.stdout and process.stdout.readline()
            time.sleep(moments.uniform(0, 0.5))
            process.kill()
        checkpoint, trained = Checkpoint(tmp_path), small_model()
        checkpoint.restore(trained)
        assert [row["epoch"] for row in checkpoint.history] == list(range(len(checkpoint.history)))
        assert _numbers(trained) == {len(checkpoint.history) - 1}
        checkpoint.restore_best(trained)
        assert _numbers(trained) == {0}
        assert len(checkpoint.history) > before
        before = len(checkpoint.history)
