"""A Beam runner whose workers are on all nodes of a Slurm job.

Beam's FnApiRunner keeps what crosses a stage in this process and hands it out in
bundles; here the workers that take them are srun steps (`pipeline.cluster.nodes`).
It spreads work, not storage: what is shuffled has to fit the first node's memory.
"""

from collections.abc import Mapping
from typing import Any, Final

from apache_beam import Pipeline
from apache_beam.options import pipeline_options
from apache_beam.portability.api import beam_provision_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms import environments
from google.protobuf import json_format, text_format

from pipeline.cluster.nodes import Nodes
from pipeline.cluster.pool import Order

_URN: Final = "lookdeep:env:slurm:v1"


class SlurmRunner(fn_runner.FnApiRunner):
    """FnApiRunner with workers on each node of the job."""

    def run_pipeline(
        self, pipeline: Pipeline, options: pipeline_options.PipelineOptions
    ) -> fn_runner.RunnerResult:
        """Runs a pipeline to its end.

        Args:
          pipeline: what to run; its functions are imported on the nodes by their paths.
          options: Beam's options.

        Returns:
          Beam's result. If a node is lost, this process ends instead, see `Nodes`.
        """
        self._default_environment = _Environment(
            capabilities=environments.python_sdk_capabilities()
        )
        self._provision_info = fn_runner.ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(
                pipeline_options=JobServiceHandle.encode_pipeline_options(options.get_all_options())
            )
        )
        self._num_workers = Nodes.of_this_process().workers
        return super().run_pipeline(pipeline, options)


@environments.Environment.register_urn(_URN, bytes)
class _Environment(environments.Environment):
    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        return _URN, b""

    @staticmethod
    def from_runner_api_parameter(
        payload: bytes,
        capabilities: Any,
        artifacts: Any,
        resource_hints: Mapping[str, bytes],
        context: object,
    ) -> "_Environment":
        return _Environment(capabilities, artifacts, resource_hints)


@worker_handlers.WorkerHandler.register_environment(_URN, bytes)
class _WorkerHandler(worker_handlers.GrpcWorkerHandler):
    """What the runner knows of one worker."""

    def __init__(
        self,
        payload: bytes,
        state: worker_handlers.StateServicer,
        provision_info: fn_runner.ExtendedProvisionInfo,
        grpc_server: worker_handlers.GrpcServer,
    ) -> None:
        self._nodes = Nodes.of_this_process()
        super().__init__(state, provision_info, grpc_server)

    def host_from_worker(self) -> str:
        return self._nodes.address

    def start_worker(self) -> None:
        self._nodes.start(
            Order(
                worker_id=self.worker_id,
                environment={
                    "WORKER_ID": self.worker_id,
                    "CONTROL_API_SERVICE_DESCRIPTOR": _text(self.control_api_service_descriptor()),
                    "LOGGING_API_SERVICE_DESCRIPTOR": _text(self.logging_api_service_descriptor()),
                    "PIPELINE_OPTIONS": json_format.MessageToJson(
                        self.provision_info.provision_info.pipeline_options
                    ),
                    "RUNNER_CAPABILITIES": " ".join(worker_handlers.FNAPI_RUNNER_CAPABILITIES),
                },
            )
        )

    def stop_worker(self) -> None:
        """Nothing: it ends when its control connection does."""


def _text(descriptor: endpoints_pb2.ApiServiceDescriptor) -> str:
    return text_format.MessageToString(descriptor)
