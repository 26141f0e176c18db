"""Beam's worker pool beside a Flink task manager.

`python -m pipeline.cluster.flink.worker_pool PORT` answers a task manager's requests for
workers (Beam's environment EXTERNAL) and has `pipeline.cluster.flink.forker` fork them. It
listens on this host's loopback address only. It ends when its standard input closes or the
forker ends.
"""

import os
import subprocess
import sys
import threading
from concurrent import futures
from typing import Final

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from google.protobuf import json_format, text_format

from components import processes
from pipeline.cluster.flink.forker import WorkerOrder

_TIMEOUT: Final = 60.0  # seconds for a task manager to say what a worker needs to know


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Passes a task manager's requests on to the forker."""

    def __init__(self) -> None:
        """Starts the forker; it imports while the task manager starts."""
        self._forker = subprocess.Popen(  # noqa: S603 (a command of ours)
            processes.python("pipeline.cluster.flink.forker"),
            env=processes.environment(),
            stdin=subprocess.PIPE,
            stdout=sys.stderr,  # the keeper reads ours
        )
        threading.Thread(target=self._end_with_forker, daemon=True).start()

    def StartWorker(
        self, request: beam_fn_api_pb2.StartWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Starts a worker."""
        try:
            order = _order(request)
            assert self._forker.stdin is not None  # noqa: S101 (for the type checker)
            self._forker.stdin.write(order.model_dump_json().encode() + b"\n")
            self._forker.stdin.flush()
        except (grpc.RpcError, OSError) as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=f"no worker was started: {error}")
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(
        self, request: beam_fn_api_pb2.StopWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """Does nothing: a worker ends when its control connection does."""
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """Ends the workers."""
        assert self._forker.stdin is not None  # noqa: S101 (for the type checker)
        self._forker.stdin.close()
        self._forker.wait()

    def _end_with_forker(self) -> None:
        self._forker.wait()
        os._exit(1)


def _order(request: beam_fn_api_pb2.StartWorkerRequest) -> WorkerOrder:
    """Asks the task manager for what Beam's container program would ask for.

    Raises:
      grpc.RpcError: the task manager does not answer.
    """
    with grpc.insecure_channel(request.provision_endpoint.url) as channel:
        info = (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
            .GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                timeout=_TIMEOUT,
                metadata=[("worker_id", request.worker_id)],  # which worker it is about
            )
            .info
        )
    return WorkerOrder(
        worker_id=request.worker_id,
        environment={
            "WORKER_ID": request.worker_id,
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(
                request.control_endpoint if request.control_endpoint.url else info.control_endpoint
            ),
            "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(
                request.logging_endpoint if request.logging_endpoint.url else info.logging_endpoint
            ),
            "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
            "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        },
    )


def main() -> None:
    """Serves until standard input closes."""
    pool = WorkerPool()
    server = grpc.server(futures.ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    os.write(1, b"ready\n")  # tells the keeper to start the task manager
    os.dup2(2, 1)
    while os.read(0, 4096):
        pass
    server.stop(None)
    pool.close()


if __name__ == "__main__":
    main()
