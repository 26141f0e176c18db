"""Beam's worker pool beside a Flink task manager: `python -m pipeline.cluster.flink.pool PORT`.

A task manager asks it for workers by Beam's protocol (the environment EXTERNAL), and
`pipeline.cluster.pool`, a process without gRPC's threads, forks them. It listens on
this host's loopback address only, and ends with its standard input, or a worker that is killed.
"""

import json
import os
import signal
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
from pipeline.cluster.pool import Order

_TIMEOUT: Final = 60.0  # seconds for a task manager to say what a worker has to know


class Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Passes a task manager's wishes on to the process that forks workers."""

    def __init__(self) -> None:
        """Starts that process; it imports while the task manager starts."""
        self._forker = subprocess.Popen(  # noqa: S603 (a command of ours)
            processes.python("pipeline.cluster.pool"),
            env=processes.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._listen, daemon=True).start()

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
        """Nothing: a worker ends when its control connection does."""
        return beam_fn_api_pb2.StopWorkerResponse()

    def _listen(self) -> None:
        """Ends this process if a worker is killed, for which its task manager would wait.

        A worker whose task manager fails ends by itself, with a status. Without the process
        that forks them, too, there is nothing left to do.
        """
        assert self._forker.stdout is not None  # noqa: S101 (for the type checker)
        for line in self._forker.stdout:
            answer = json.loads(line)
            if answer["event"] == "ended" and answer["status"] < 0:
                how = signal.Signals(-answer["status"]).name
                print(f"Beam worker {answer['worker_id']} was ended by {how}.", file=sys.stderr)
                break
        os._exit(1)

    def close(self) -> None:
        """Ends the workers."""
        assert self._forker.stdin is not None  # noqa: S101 (for the type checker)
        self._forker.stdin.close()
        self._forker.wait()


def _order(request: beam_fn_api_pb2.StartWorkerRequest) -> Order:
    """What Beam's own program in a container finds out for a worker.

    Raises:
      grpc.RpcError: the task manager does not answer.
    """
    with grpc.insecure_channel(request.provision_endpoint.url) as channel:
        info = (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
            .GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                timeout=_TIMEOUT,
                metadata=[("worker_id", request.worker_id)],  # which of its workers asks
            )
            .info
        )
    return Order(
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
    pool = Pool()
    server = grpc.server(futures.ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    os.write(1, b"ready\n")  # for the keeper, which then starts the task manager
    os.dup2(2, 1)
    while os.read(0, 4096):
        pass
    server.stop(None)
    pool.close()


if __name__ == "__main__":
    main()
