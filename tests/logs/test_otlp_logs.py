"""Log records by OTLP, taken by a server on this machine and read as the protocol has them."""

from __future__ import annotations

import http.server
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="pip install 'beam_obs[otel]'")
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

LOGGER = logging.getLogger("trips.otlp")


class Taking(http.server.BaseHTTPRequestHandler):
    taken: list[Any] = []

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.taken.append(ExportLogsServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL", raising=False)
    Taking.taken = []
    yield Taking.taken
    server.shutdown()
    server.server_close()


def log(element: Any) -> str:
    LOGGER.warning("at %s", element)
    return (obs.current_origin() or b"").hex()


def sent(taken: list[Any]) -> Any:
    """Returns service and log record of what user code logged."""
    ((service, record),) = [
        (of_process.resource.attributes, record)
        for request in taken
        for of_process in request.resource_logs
        for of_scope in of_process.scope_logs
        if of_scope.scope.name == LOGGER.name
        for record in of_scope.log_records
    ]
    return {one.key: one.value.string_value for one in service}.get("service.name"), record


@pytest.mark.parametrize("options", [[], ["--obs_traces=store", "--obs_trace_share=1"]])
def test_a_log_record_is_part_of_the_trace_of_its_element(taken: list[Any], options: list[str]) -> None:
    arguments = [*options, "--obs_logs=otlp", "--obs_report=off"]
    with obs.Pipeline("FnApiRunner", name="sends-logs", argv=arguments) as p:
        _ = p | "make" >> beam.Create(["7"], reshuffle=False) | "log" >> beam.Map(log)

    service, record = sent(taken)
    attributes = {one.key: one.value.string_value for one in record.attributes}
    assert service == "sends-logs"
    assert (record.body.string_value, record.severity_text) == ("at 7", "WARN")
    assert record.trace_id.hex() == attributes["beam_obs_origin"]
    assert (attributes["beam_obs_step"], len(attributes["beam_obs_run"])) == ("log", 36)
    assert bool(record.span_id.strip(b"\0")) == bool(options)
    assert record.flags & 1 == bool(options)


def test_what_is_missing_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http._log_exporter", None)
    with pytest.raises(obs.MissingExtra, match=r"Logs by OTLP needs .*beam_obs\[otel\]"):
        obs.Pipeline("FnApiRunner", name="sends-logs", argv=["--obs_logs=otlp"])
