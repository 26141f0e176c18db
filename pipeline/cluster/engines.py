"""Beam's options for each engine. They are part of TFX's cache key: no node or job is in them."""

from components.errors import InputError
from pipeline import beam
from pipeline.cluster.settings import ClusterSettings

# Workers run in the same environment on the shared file system. TFX would build a package
# of itself for them, but for an option that names an image.
_NO_PACKAGE = "--sdk_container_image=unused"


def beam_args(cluster: ClusterSettings) -> list[str]:
    """Beam's options for a run.

    Args:
      cluster: its settings.

    Returns:
      Beam pipeline arguments.
    """
    if cluster.engine == "srun":
        return ["--runner=pipeline.cluster.beam_runner.SlurmRunner", _NO_PACKAGE]
    if cluster.engine == "flink":
        return ["--runner=pipeline.cluster.flink.runner.FlinkRunner", _NO_PACKAGE]
    if cluster.engine == "dataflow":
        assert cluster.dataflow is not None  # noqa: S101 (for the type checker)
        return [
            "--runner=DataflowRunner",
            f"--project={cluster.dataflow.project}",
            f"--region={cluster.dataflow.region}",
            f"--temp_location={cluster.dataflow.temp_location}",
            f"--sdk_container_image={cluster.dataflow.image}",
            "--experiments=use_runner_v2",
        ]
    return beam.local_args()


def check(args: list[str]) -> None:
    """Has Beam look at options; it asks nobody else about them.

    Args:
      args: from `beam_args`.

    Raises:
      InputError: Beam refuses them.
    """
    # Not above: it takes seconds, and only a dry run waits for them.
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    # As a dry run of Beam's own, which does not look at the bucket.
    options = PipelineOptions([*args, "--dry_run=True"])
    runner = create_runner(options.view_as(StandardOptions).runner)
    if refusals := PipelineOptionsValidator(options, runner).validate():
        raise InputError(f"Beam refuses these settings: {' '.join(refusals)}")
