"""A Beam runner that submits to the session of a Slurm job."""

import json

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners import runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle, PortableRunner
from google.protobuf import struct_pb2

from pipeline.cluster.flink.session import Session


class FlinkRunner(PortableRunner):
    """Beam's portable runner, pointed at the session of this process."""

    def run_pipeline(self, pipeline: object, options: PipelineOptions) -> runner.PipelineResult:
        """Submits a pipeline.

        Args:
          pipeline: what to run; the nodes import its functions by their paths.
          options: Beam's options.

        Returns:
          Beam's result. If Flink is lost, this process ends instead, see `Session`.
        """
        session = Session.of_this_process()
        portable = options.view_as(PortableOptions)
        portable.environment_type = "EXTERNAL"
        portable.environment_config = json.dumps({"url": session.workers_endpoint})
        portable.job_endpoint = session.job_endpoint
        return super().run_pipeline(pipeline, options)

    def create_job_service_handle(
        self, job_service: beam_job_api_pb2_grpc.JobServiceStub, options: PipelineOptions
    ) -> JobServiceHandle:
        """Beam's own handle, with the options that only the Java side knows."""
        return _Handle(job_service, options)


class _Handle(JobServiceHandle):
    def get_pipeline_options(self) -> struct_pb2.Struct:
        session = Session.of_this_process()
        options = super().get_pipeline_options()
        options["beam:option:parallelism:v1"] = str(session.slots)
        # Workers of each task manager; its tasks share them.
        options["beam:option:sdk_worker_parallelism:v1"] = str(session.workers)
        return options
