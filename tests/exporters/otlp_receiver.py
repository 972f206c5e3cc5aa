"""Receivers of OTLP on this machine: by HTTP and by gRPC, with what they were sent, as the official types."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2

from tests.exporters.end_json import Series, series


class Received:
    """What a receiver was sent, and how it is to answer."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[Mapping[str, str]] = []
        self.refused = 0
        """How many requests were refused."""
        self.refuses_with: int | None = None
        """A status of HTTP."""
        self.may_answer = threading.Event()
        self.may_answer.set()

    def resource(self) -> dict[str, str]:
        """Returns the attributes of the resource of the last request."""
        (of_resource,) = self.requests[-1].resource_metrics
        return {one.key: one.value.string_value for one in of_resource.resource.attributes}

    def metric(self, name: str, request: int = -1) -> metrics_pb2.Metric:
        """Returns a metric of a request."""
        (found,) = [one for one in self._metrics(request) if one.name == name]
        return found

    def values(self, request: int = -1) -> dict[Series, float]:
        """Returns the values of counters, sums and gauges of a request, without the label of the pipeline."""
        found = {}
        for metric in self._metrics(request):
            for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points:
                found[series(metric.name, **labels_of(point))] = (
                    point.as_int if point.HasField("as_int") else point.as_double
                )
        return found

    def _metrics(self, request: int) -> list[metrics_pb2.Metric]:
        (of_resource,) = self.requests[request].resource_metrics
        (of_scope,) = of_resource.scope_metrics
        assert of_scope.scope.name == "beam_obs"
        return list(of_scope.metrics)


def labels_of(point: Any) -> dict[str, str]:
    """Returns the attributes of a point, but for the pipeline."""
    return {one.key: one.value.string_value for one in point.attributes if one.key != "pipeline"}


@contextlib.contextmanager
def receiving_by_http() -> Iterator[Received]:
    """Gives what a receiver by HTTP gets while the block lasts."""
    received = Received()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.may_answer.wait()
            status = received.refuses_with or (200 if self.path == "/v1/metrics" else 404)
            if status == 200:
                received.requests.append(ExportMetricsServiceRequest.FromString(body))
                received.headers.append(dict(self.headers))
            else:
                received.refused += 1
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.may_answer.set()
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def receiving_by_grpc() -> Iterator[Received]:
    """Gives what a receiver by gRPC gets while the block lasts."""
    received = Received()

    class Servicer(MetricsServiceServicer):
        def Export(self, request: Any, context: grpc.ServicerContext) -> ExportMetricsServiceResponse:
            received.requests.append(request)
            received.headers.append({one.key: one.value for one in context.invocation_metadata()})
            return ExportMetricsServiceResponse()

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    add_MetricsServiceServicer_to_server(Servicer(), server)
    received.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(None).wait(10)
