"""Beam's options for one machine; `pipeline.cluster.engines` has those for a cluster."""


def local_args() -> list[str]:
    """Options for Beam's local runner, in the process that calls it.

    Measured on 2 cores and 600 images, several processes take five times as long as one:
    starting them and pickling the images outweighs the second core.

    Returns:
      Beam pipeline arguments. TFX's cache key includes them.
    """
    return ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
