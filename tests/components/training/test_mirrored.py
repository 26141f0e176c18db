"""Training on several devices at once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.slow
def test_two_replicas_train_as_one(
    transformed: Path, transform_graph: Path, tmp_path: Path, base_weights: str
) -> None:
    command = [sys.executable, "-m", "tests.components.training.mirrored_training"]
    arguments = [str(transformed), str(transform_graph), str(tmp_path), base_weights]
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 (a command of ours)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.split() == ["1", "2"]
    losses = []
    for folder in ("False", "True"):
        history = json.loads((tmp_path / folder / "run" / "history.json").read_text())
        rows = [row for phase in history["phases"].values() for row in phase["epochs"]]
        losses.append([row["loss"] for row in rows])
    # Each draws its dropout for itself; data, order and views are the same.
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.3)
    served = tf.saved_model.load(str(tmp_path / "True" / "model"))
    png = tf.io.encode_png(np.full((40, 40, 3), 120, np.uint8)).numpy()
    answer = served.signatures["serving_default"](image_bytes=tf.constant([png]))
    assert np.isfinite(answer["probabilities"].numpy()).all()
