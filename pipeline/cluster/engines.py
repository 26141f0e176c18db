"""Beam's options for each engine. TFX's cache key includes them: they name no node and no job."""

import contextlib
import io
from collections.abc import Sequence

from components import processes
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
    processes.hush_libraries()
    # Imported here: it takes seconds.
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse's usage
            # With Beam's own dry_run, which does not look at a cloud's buckets.
            options = PipelineOptions([*args, "--dry_run=True"])
            options.get_all_options(retain_unknown_options=True)  # parses each of them
            name = options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER
            runner = create_runner(name)
            refusals = PipelineOptionsValidator(options, runner).validate()
    except (ValueError, ImportError, AttributeError) as error:
        refusals = [str(error)]
    except SystemExit:
        refusals = [said.getvalue().rpartition("error: ")[2].strip()]
    if refusals:
        raise InputError(f"Beam refuses these options: {' '.join(refusals)}")
