"""A receiver of OTLP by HTTP on this machine, for spans, numbers and log records alike."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Signals:
    """What a receiver was sent.

    Attributes:
      address: URL of it.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[Any] = []

    @property
    def spans(self) -> list[Any]:
        return [
            one for _, one in self._of(ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans")
        ]

    @property
    def metrics(self) -> list[Any]:
        found = self._of(ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics")
        return [one for _, one in found]

    @property
    def logs(self) -> list[tuple[str, Any]]:
        """Log records, each with the name of its service."""
        return self._of(ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records")

    def _of(self, kind: type, resources: str, scopes: str, members: str) -> list[tuple[str, Any]]:
        return [
            (texts_of(of_resource.resource).get("service.name", ""), member)
            for request in self.requests
            if isinstance(request, kind)
            for of_resource in getattr(request, resources)
            for of_scope in getattr(of_resource, scopes)
            for member in getattr(of_scope, members)
        ]


def texts_of(told: Any) -> dict[str, str]:
    """Returns the attributes of a resource, span or log record that are texts."""
    return {one.key: one.value.string_value for one in told.attributes}


@contextlib.contextmanager
def receiving_signals() -> Iterator[Signals]:
    """Gives what a receiver gets while the block lasts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.requests.append(_KINDS[self.path].FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Signals(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
