"""A backend that is down costs a run nothing but a counter, and one that is up gets what there is."""

from __future__ import annotations

import http.server
import logging
import pathlib
import re
import threading
import time
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.metrics.names import NAMESPACE, TELEMETRY_LOST
from tests.engines.object_stores import free_port

NAMES: list[str] = []
OURS = MetricsFilter().with_namespace(NAMESPACE).with_name(TELEMETRY_LOST)


class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            NAMES.extend(span.name for scope in of_resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def backend() -> Iterator[str]:
    """The address of a server that notes the names of spans."""
    NAMES.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Refusing(Taker):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.end_headers()


@pytest.fixture
def refusing_backend() -> Iterator[int]:
    """The port of a server that knows nobody."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def run(folder: pathlib.Path) -> beam.runners.runner.PipelineResult:
    arguments = ["--runner=FnApiRunner", "--obs_trace_share=1", "--obs_report=off", f"--obs_store={folder}"]
    pipeline = obs.Pipeline(options=PipelineOptions(arguments), name="traced")
    numbers = pipeline | beam.Create(list(range(300))) | "one" >> beam.Map(str)
    moved = numbers | "move" >> beam.Reshuffle() | "two" >> beam.Map(str)
    _ = moved | "move again" >> beam.Reshuffle() | "three" >> beam.Map(str)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@pytest.mark.parametrize(
    ("protocol", "reason"), [("http/protobuf", "Connection refused"), ("grpc", "UNAVAILABLE")]
)
@pytest.mark.slow
def test_a_backend_that_is_down_costs_a_counter(
    protocol: str,
    reason: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    started = time.monotonic()

    with caplog.at_level(logging.INFO):
        result = run(tmp_path)

    assert time.monotonic() - started < 20
    (counter, *_) = result.metrics().query(OURS)["counters"]
    assert counter.committed > 0
    of_exporters = [one for one in caplog.records if one.name.startswith("opentelemetry.exporter")]
    assert of_exporters == []
    said = [one for one in caplog.messages if "cannot be sent" in one]
    assert len(said) == 1
    assert reason in said[0]
    assert "reached nobody" in caplog.text
    capsys.readouterr()
    assert exit_code(["show", "traced@latest", "--store", str(tmp_path)]) == 0
    (lost,) = re.findall(r"([\d,]+) spans or log lines reached nobody", capsys.readouterr().out)
    spans = 4 * 300
    assert int(lost.replace(",", "")) >= spans


def test_a_backend_that_is_up_gets_all(
    backend: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", backend)

    result = run(tmp_path)

    counts = {name: NAMES.count(name) for name in ("one", "two", "three", "traced")}
    assert counts == {"one": 300, "two": 300, "three": 300, "traced": 1}
    assert result.metrics().query(OURS)["counters"] == []
    assert list(tmp_path.glob("runs/*/*/traces-*")) == []
    record = obs.Store(str(tmp_path)).find("latest")
    assert record.start["traces"]["sent_to"] == f"{backend}/v1/traces"


def test_a_backend_that_refuses_is_told_with_its_answer_and_without_secrets(
    refusing_backend: int,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"http://me:hunter2@127.0.0.1:{refusing_backend}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)

    run(tmp_path)

    (said,) = (one for one in caplog.messages if "cannot be sent" in one)
    assert "code: 401, reason: Unauthorized" in said
    assert f"127.0.0.1:{refusing_backend}" in said
    (start,) = tmp_path.glob("runs/*/*/start.json")
    assert "hunter2" not in said + caplog.text + start.read_text()
