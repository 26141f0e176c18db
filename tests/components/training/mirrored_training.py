"""Trains on two logical CPUs, a replica on each; a process of its own, see test_mirrored.py.

    python -m tests.components.training.mirrored_training TRANSFORMED GRAPH OUT BASE_WEIGHTS

TensorFlow makes logical devices only before anything has been computed.
"""

import sys
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

from components.training import phases, trainer  # noqa: E402
from tests.support.small_training import SETTINGS, fn_args  # noqa: E402


def main() -> None:
    """Trains alike with one replica and with two."""
    transformed, graph, out = map(Path, sys.argv[1:4])
    for mirrored in (False, True):
        settings = replace(SETTINGS, base_weights=sys.argv[4], mirrored=mirrored)
        folder = out / str(mirrored)
        with phases.strategy(settings).scope():
            print(tf.distribute.get_strategy().num_replicas_in_sync)
        trainer.run_fn(fn_args(transformed, graph, folder, settings, folder / "backup"))


if __name__ == "__main__":
    main()
