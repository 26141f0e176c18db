"""The components of a job's pipeline: where each runs, and which ones it waits for."""

from dataclasses import dataclass
from typing import Final

from components import processes
from pipeline.cluster import engines
from pipeline.cluster.settings import ClusterSettings
from pipeline.config import PipelineConfig

_FIRST_NODE: Final = "the first node"
_BEAM: Final = {"local": "Beam in the job's process", "flink": "Beam on Flink"}
_BEAM_OPTIONS: Final = "Beam, as beam_options say"


@dataclass(frozen=True)
class Step:
    """A component of the compiled pipeline.

    Attributes:
      name: its node id.
      place: where its work is done; the first node drives the components on Beam.
      after: the components it waits for.
    """

    name: str
    place: str
    after: tuple[str, ...]

    def __str__(self) -> str:
        after = f", after {', '.join(self.after)}" if self.after else ""
        return f"{self.name}: {self.place}{after}"


def steps(config: PipelineConfig, cluster: ClusterSettings) -> list[Step]:
    """Compiles the pipeline as the job will.

    Args:
      config: the settings of the run.
      cluster: its `[cluster]` table.

    Returns:
      The components, in the order in which they run.
    """
    processes.hush_libraries()
    # Imported here: it takes half a minute, and only a dry run waits for it.
    from tfx.dsl.compiler import compiler
    from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

    from pipeline.process.worker import build_pipeline

    # The graph does not depend on the metadata store, and a dry run needs no password.
    config = config.model_copy(update={"metadata": None})
    compiled = compiler.Compiler().compile(build_pipeline(config, engines.beam_args(cluster)))
    deployment = pipeline_pb2.IntermediateDeploymentConfig()
    compiled.deployment_config.Unpack(deployment)
    beam = executable_spec_pb2.BeamExecutableSpec.DESCRIPTOR
    on_beam = _BEAM_OPTIONS if cluster.beam_options else _BEAM[cluster.engine]
    return [
        Step(
            name=node.pipeline_node.node_info.id,
            # A resolver has no executor.
            place=on_beam
            if deployment.executor_specs[node.pipeline_node.node_info.id].Is(beam)
            else _FIRST_NODE,
            after=tuple(sorted(node.pipeline_node.upstream_nodes)),
        )
        for node in compiled.nodes
    ]
