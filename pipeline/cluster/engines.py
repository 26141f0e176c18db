"""Beam's options for each engine. TFX's cache key includes them: they name no node and no job."""

from collections.abc import Sequence

from components.errors import InputError
from pipeline import beam
from pipeline.cluster.settings import ClusterSettings


def beam_args(cluster: ClusterSettings) -> list[str]:
    """Beam's options for a run.

    Args:
      cluster: its settings.

    Returns:
      Beam pipeline arguments.
    """
    if cluster.engine == "flink":
        return [
            "--runner=pipeline.cluster.flink.runner.FlinkRunner",
            # The workers have the same environment, on the shared file system. Without an
            # image TFX would build a package of itself for them.
            "--sdk_container_image=unused",
        ]
    return cluster.beam_options or beam.local_args()


def check(args: Sequence[str]) -> None:
    """Has Beam validate options, without contacting the engine.

    Args:
      args: from `beam_args`.

    Raises:
      InputError: Beam refuses them.
    """
    # Imported here: it takes seconds, and only a dry run waits for it.
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    # With Beam's own dry_run, which does not look at a cloud's buckets.
    options = PipelineOptions([*args, "--dry_run=True"])
    try:
        runner = create_runner(options.view_as(StandardOptions).runner)
        refusals = PipelineOptionsValidator(options, runner).validate()
    except (ValueError, ImportError) as error:
        refusals = [str(error)]
    if refusals:
        raise InputError(f"Beam refuses these options: {' '.join(refusals)}")
