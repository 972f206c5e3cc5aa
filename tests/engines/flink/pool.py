"""A pool of Beam's workers, each a process, at an address of its own: `python pool.py HOST PORT`.

Beam's own program for it takes every address of the machine, so that there can be one of a port only.
"""

from __future__ import annotations

import sys
import threading

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor


def main(host: str, port: str) -> None:
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    server.add_insecure_port(f"{host}:{port}")
    pool = BeamFnExternalWorkerPoolServicer(use_process=True)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
