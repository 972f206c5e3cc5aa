"""Log records by OTLP, taken by a server on this machine and read as the protocol has them."""

from __future__ import annotations

import logging
import pathlib
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter

import beam_obs as obs
from beam_obs.cli.main import exit_code

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="pip install 'beam_obs[otel]'")
from beam_obs.logs.otlp_logs import otlp_handler
from beam_obs.metrics.names import NAMESPACE, TELEMETRY_LOST
from beam_obs.records.errors import UsageError
from beam_obs.traces.otlp_sender import FLUSH_SECONDS
from tests.engines.object_stores import free_port
from tests.logs.signals_receiver import Signals, receiving_signals, texts_of
from tests.patience import wait_until

LOGGER = logging.getLogger("trips.otlp")
LOST = MetricsFilter().with_namespace(NAMESPACE).with_name(TELEMETRY_LOST)
WATCHED: list[pytest.LogCaptureFixture] = []


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Signals]:
    with receiving_signals() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        yield received


def log(element: Any) -> str:
    LOGGER.warning("at %s", element)
    return (obs.current_origin() or b"").hex()


def run(*options: str) -> None:
    with obs.Pipeline("FnApiRunner", name="sends-logs", argv=[*options, "--obs_report=off"]) as p:
        _ = p | "make" >> beam.Create(["7"], reshuffle=False) | "log" >> beam.Map(log)


@pytest.mark.parametrize("traces", [["--obs_traces=off"], ["--obs_traces=store", "--obs_trace_share=1"]])
def test_a_log_record_is_part_of_the_trace_of_its_element(received: Signals, traces: list[str]) -> None:
    run("--obs_logs=otlp", *traces)

    ((service, record),) = [one for one in received.logs if one[1].body.string_value == "at 7"]
    is_traced = len(traces) == 2
    told = texts_of(record)
    assert (service, record.severity_text) == ("sends-logs", "WARN")
    assert record.trace_id.hex() == told["beam_obs_origin"]
    assert (told["beam_obs_step"], len(told["beam_obs_run"])) == ("log", 36)
    assert bool(record.span_id.strip(b"\0")) == is_traced
    assert record.flags & 1 == is_traced


def test_the_standard_variables_ask_for_it(received: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    run()
    assert "at 7" in [record.body.string_value for _, record in received.logs]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"])
def test_a_protocol_without_an_exporter_is_refused_before_anything_runs(
    received: Signals, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http/json")
    with pytest.raises(UsageError, match=f"{name} is 'http/json'.*: set it to http/protobuf or grpc"):
        run("--obs_logs=otlp", "--obs_traces=off")
    run("--obs_traces=off")


def test_an_option_goes_before_them(received: Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    run("--obs_logs=attributes")
    assert received.logs == []


def test_where_nobody_answers_the_run_ends_all_the_same(
    received: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    handler = otlp_handler("trips")
    handler.handle(logging.makeLogRecord({"name": "trips", "msg": "lost", "levelno": 30}))
    began = time.monotonic()
    handler.close()
    assert time.monotonic() - began < FLUSH_SECONDS + 20
    assert handler.take_lost() == 1


@pytest.mark.slow
def test_lines_that_reach_nobody_are_counted_and_it_is_said_once(
    received: Signals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    options = ["--obs_logs=otlp", "--obs_report=off"]
    WATCHED[:] = [caplog]
    pipeline = obs.Pipeline("FnApiRunner", name="loses-logs", argv=options)
    numbers = pipeline | "make" >> beam.Create(list(range(600)), reshuffle=False)
    moved = numbers | "log" >> beam.Map(log) | beam.Reshuffle() | "wait" >> beam.Map(wait)
    _ = moved | "again" >> beam.Reshuffle() | "last" >> beam.Map(str)
    result = pipeline.run()
    result.wait_until_finish()

    assert sum(one.committed for one in result.metrics().query(LOST)["counters"]) >= 512
    said = [one for one in caplog.messages if "log lines cannot be sent to" in one]
    assert len(said) == 1


@pytest.mark.slow
def test_the_report_tells_of_lines_that_are_lost_when_the_run_ends(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    run("--obs_logs=otlp", f"--obs_store={tmp_path}")

    assert exit_code(["show", "latest", "--store", str(tmp_path)]) == 0
    assert re.search(r"\d+ spans or log lines reached nobody", capsys.readouterr().out)


def wait(element: Any) -> Any:
    """Waits until it was said that lines cannot be sent."""
    wait_until("said", lambda: any("cannot be sent" in one for one in WATCHED[0].messages))
    return element


def test_what_is_missing_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http._log_exporter", None)
    with pytest.raises(obs.MissingExtra, match=r"Logs by OTLP needs .*beam_obs\[otel\]"):
        obs.Pipeline("FnApiRunner", name="sends-logs", argv=["--obs_logs=otlp"])
