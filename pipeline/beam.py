"""Beam's options for one machine; `pipeline.cluster.engines` has those for a cluster."""

from collections.abc import Sequence

from components.ingest.tfrecords import LOCAL_BEAM_ARGS


def local_args() -> list[str]:
    """Options for Beam's local runner, in the process that calls it.

    Measured on 2 cores and 600 images, several processes take five times as long as one:
    starting them and pickling the images outweighs the second core.

    Returns:
      Beam pipeline arguments. TFX's cache key includes them.
    """
    return ["--runner=DirectRunner", "--direct_running_mode=in_memory"]


def ingestion_args(beam_args: Sequence[str]) -> Sequence[str]:
    """Options for ingestion, which runs on the engine of the other stages.

    On one machine it uses threads: each has a process that converts its images, and only file
    names are pickled, so that all cores are used.

    Args:
      beam_args: the options of the other stages.
    """
    return LOCAL_BEAM_ARGS if list(beam_args) == local_args() else beam_args
