"""What a job will run: the components of its pipeline, what each waits for, and where it runs."""

from dataclasses import dataclass
from typing import Final

from components import processes
from pipeline.cluster import engines
from pipeline.cluster.settings import ClusterSettings
from pipeline.config import PipelineConfig

_FIRST_NODE: Final = "the first node"
_ENGINES: Final = {
    "local": "Beam in the job's process",
    "srun": "Beam on workers on all nodes",
    "flink": "Beam on Flink",
    "dataflow": "Beam on Dataflow",
}


@dataclass(frozen=True)
class Step:
    """A component of the compiled pipeline.

    Attributes:
      name: its node id.
      place: where its work is done; a component on Beam is driven from the first node.
      after: the components that it waits for.
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
      config: settings of the run.
      cluster: of its cluster.

    Returns:
      The components, in the order in which they run.
    """
    processes.hush_libraries()
    # Not above: of cluster_runner.py's commands, the others are there at once.
    from tfx.dsl.compiler import compiler
    from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

    from pipeline.process.worker import build_pipeline

    # The graph is the same wherever metadata are, and this needs no password.
    config = config.model_copy(update={"metadata": None})
    compiled = compiler.Compiler().compile(build_pipeline(config, engines.beam_args(cluster)))
    deployment = pipeline_pb2.IntermediateDeploymentConfig()
    compiled.deployment_config.Unpack(deployment)
    beam = executable_spec_pb2.BeamExecutableSpec.DESCRIPTOR
    return [
        Step(
            name=node.pipeline_node.node_info.id,
            # A resolver has no executor at all.
            place=_ENGINES[cluster.engine]
            if deployment.executor_specs[node.pipeline_node.node_info.id].Is(beam)
            else _FIRST_NODE,
            after=tuple(sorted(node.pipeline_node.upstream_nodes)),
        )
        for node in compiled.nodes
    ]
