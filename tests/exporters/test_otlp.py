"""Numbers of runs by OTLP: what receivers get, and what a real Collector tells of it."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from beam_obs.exporters.otlp import Otlp
from beam_obs.exporters.sending import SendingExporter
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import UsageError
from tests.engines.collector import running_collector
from tests.engines.object_stores import free_port
from tests.exporters.conftest import PROGRAM
from tests.exporters.end_json import Series, buckets_of, gauges_of, refusals_of, refused_in, series, totals_of
from tests.exporters.otlp_receiver import Received, labels_of, receiving_by_grpc, receiving_by_http

CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
BEGAN = 1_700_000_000
PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving_by_http() as received:
        yield received


def counted(rows: int, at: int, final: bool = False, run: str = "1") -> RunNumbers:
    """Numbers of a run that began at `BEGAN`, so many seconds later: rows, all of them quick."""
    buckets = {"1.0": rows, "5.0": rows, "+Inf": rows}
    families = (
        Family("rows_total", "counter", (Sample("use", value=rows),)),
        Family("wait_seconds", "histogram", (Sample("use", buckets=buckets, count=rows, sum=rows / 2),)),
        Family("load", "gauge", (Sample("use", value=rows / 10),)),
        Family("beam_obs_run_start_timestamp_seconds", "gauge", (Sample("", value=BEGAN),)),
    )
    return RunNumbers("small", run, (BEGAN + at) * 1_000_000, families, final)


def test_all_numbers_of_a_run_arrive_as_the_store_has_them(
    receiver: Received, numbers: RunNumbers, store_of_numbers: pathlib.Path
) -> None:
    Otlp(receiver.address).send(numbers)

    values = receiver.values()
    wanted = {
        **totals_of(store_of_numbers),
        **refusals_of(store_of_numbers),
        **gauges_of(store_of_numbers),
    }
    assert {key: values[key] for key in wanted} == pytest.approx(wanted)
    for (name, labels), buckets in buckets_of(store_of_numbers).items():
        (point,) = receiver.metric(name).histogram.data_points
        assert (labels_of(point).items(), point.count) == (labels, buckets["+Inf"])
        assert list(itertools.accumulate(point.bucket_counts)) == list(buckets.values())
        assert point.sum == pytest.approx(199)
    assert values[series("wait_seconds_sum", stage="use")] == pytest.approx(1990)
    latency = receiver.metric("beam_obs_latency_seconds")
    assert latency.unit == "s"
    assert not latency.histogram.data_points[0].HasField("sum")


def test_the_pipeline_is_a_service_and_the_run_an_instance(
    receiver: Received, numbers: RunNumbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Otlp(receiver.address)
    target.send(numbers)
    resource = receiver.resource()
    assert resource["service.name"] == resource["beam.pipeline"] == "numbers"
    assert resource["service.instance.id"] == resource["beam.run_id"] == numbers.run
    assert (resource["beam.runner"], resource["beam.version"]) == (
        "FnApiRunner",
        numbers.attributes["beam_version"],
    )

    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    target.send(numbers)
    resource = receiver.resource()
    assert (resource["service.name"], resource["deployment.environment"]) == ("nightly", "test")


def test_totals_are_of_the_run_where_nothing_else_is_asked(receiver: Received) -> None:
    target = Otlp(receiver.address)
    for rows, at in ((3, 5), (10, 10)):
        target.send(counted(rows, at))

    (point,) = receiver.metric("rows_total").sum.data_points
    assert receiver.metric("rows_total").sum.is_monotonic
    assert receiver.metric("rows_total").sum.aggregation_temporality == CUMULATIVE
    assert (point.as_int, point.start_time_unix_nano) == (10, BEGAN * 10**9)
    assert point.time_unix_nano == (BEGAN + 10) * 10**9
    assert receiver.metric("wait_seconds").histogram.aggregation_temporality == CUMULATIVE


@pytest.mark.parametrize("preference", ["delta", "LowMemory"])
def test_what_was_counted_since_the_last_time_where_it_is_asked(
    receiver: Received, monkeypatch: pytest.MonkeyPatch, preference: str
) -> None:
    monkeypatch.setenv(PREFERENCE, preference)
    target = Otlp(receiver.address)
    for rows, at in ((3, 5), (10, 10), (9, 12)):
        target.send(counted(rows, at))
    target.send(counted(12, 15, final=True))

    told = []
    for request in range(4):
        rows, wait = (receiver.metric(name, request) for name in ("rows_total", "wait_seconds"))
        assert rows.sum.aggregation_temporality == wait.histogram.aggregation_temporality == DELTA
        (row,), (histogram,) = rows.sum.data_points, wait.histogram.data_points
        began = row.start_time_unix_nano // 10**9 - BEGAN
        told.append((began, row.as_int, list(histogram.bucket_counts)))
    # A total that falls, of a bundle that was not committed, is no growth; nor is what makes up for it.
    assert told == [(0, 3, [3, 0, 0]), (5, 7, [7, 0, 0]), (10, 0, [0, 0, 0]), (12, 2, [2, 0, 0])]
    assert receiver.values()[series("load", stage="use")] == 1.2


def test_changes_of_a_request_that_failed_are_in_the_next(
    receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFERENCE, "delta")
    target = Otlp(receiver.address)
    target.send(counted(3, 5))
    receiver.refuses_with = 400
    with pytest.raises(ConnectionError, match="400"):
        target.send(counted(5, 10))
    receiver.refuses_with = None
    target.send(counted(9, 15))
    (point,) = receiver.metric("rows_total").sum.data_points
    assert (point.as_int, point.start_time_unix_nano // 10**9 - BEGAN) == (6, 5)


def test_what_another_may_have_sent_of_a_run_is_not_counted_again(
    receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFERENCE, "delta")
    target = Otlp(receiver.address)
    for rows, at in ((10, 5), (12, 10)):
        target.send(dataclasses.replace(counted(rows, at), is_taken_over=True))
    told = [receiver.metric("rows_total", request).sum.data_points[0].as_int for request in range(2)]
    assert told == [0, 2]


def test_the_variables_say_where_to_and_how(receiver: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
    Otlp("on").send(counted(3, 5))
    assert receiver.values()[series("rows_total", stage="use")] == 3
    assert receiver.headers[-1]["api-key"] == "secret"


def test_grpc_is_spoken_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
    with receiving_by_grpc() as received:
        target = Otlp(received.address)
        target.send(counted(3, 5))
        target.close()
    assert received.values()[series("rows_total", stage="use")] == 3


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"])
def test_a_protocol_without_an_exporter_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http/json")
    with pytest.raises(UsageError, match=f"{name} is 'http/json'.*: set it to http/protobuf or grpc"):
        Otlp("on")


def test_a_receiver_that_refuses_is_said_once_with_its_answer(
    receiver: Received, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refuses_with = 401
    exporter = SendingExporter(Otlp(receiver.address))
    exporter.export(counted(3, 5, final=True))
    assert not exporter.close(20)
    assert receiver.refused >= 2
    assert exporter.dropped("1") == 1
    assert sum("401" in message for message in caplog.messages) == 1
    assert {record.name.partition(".")[0] for record in caplog.records} == {"beam_obs"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_receiver_that_is_away_is_said_once(
    protocol: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    exporter = SendingExporter(Otlp(f"http://127.0.0.1:{free_port()}"))
    exporter.export(counted(3, 5, final=True))
    assert not exporter.close(20)
    assert sum("cannot be reached" in message for message in caplog.messages) == 1
    assert {record.name.partition(".")[0] for record in caplog.records} == {"beam_obs"}


def test_a_receiver_that_hangs_holds_nobody_up(receiver: Received) -> None:
    receiver.may_answer.clear()
    exporter = SendingExporter(Otlp(receiver.address))
    exporter.export(counted(3, 5, final=True))
    began = time.monotonic()
    assert not exporter.close(0.5)
    assert time.monotonic() - began < 5
    assert exporter.dropped("1") == 1


class Collector:
    """A real Collector, which takes OTLP and tells it to Prometheus.

    Args:
      http: where it takes OTLP by HTTP.
      grpc: where it takes it by gRPC.
      prometheus: port that Prometheus would scrape.
    """

    def __init__(self, http: str, grpc: str, prometheus: int) -> None:
        self.http = http
        self.grpc = grpc
        self._prometheus = prometheus

    def values(self) -> dict[Series, float]:
        """Returns what it tells: without its own labels, and that of the pipeline."""
        address = f"http://127.0.0.1:{self._prometheus}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        found = {}
        for name, labels, value in re.findall(r"^(\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
            told = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
            for ours in ("pipeline", "job", "instance", *(key for key in told if key.startswith("otel_"))):
                told.pop(ours, None)
            found[series(name, **told)] = float(value)
        return found


@pytest.fixture
def collector(tmp_path: pathlib.Path) -> Iterator[Collector]:
    prometheus = free_port()
    settings = {"endpoint": f"127.0.0.1:{prometheus}"}
    with running_collector(tmp_path, "metrics", "prometheus", settings) as takes:
        yield Collector(takes.http, takes.grpc, prometheus)


@pytest.mark.engines
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_real_collector_tells_the_numbers_of_a_run_as_its_store_does(
    protocol: str,
    collector: Collector,
    run_program: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    address = collector.grpc if protocol == "grpc" else collector.http
    options = ["--runner=FnApiRunner", f"--obs_otlp={address}", "--obs_store=store", "--obs_report=off"]
    code, _, errors = run_program(PROGRAM, *options)
    assert (code, errors) == (0, "")

    values = collector.values()
    store = pathlib.Path("store").absolute()
    wanted = {**totals_of(store), **gauges_of(store)}
    assert {key: values[key] for key in wanted} == pytest.approx(wanted)
    assert refused_in(values) == refused_in(refusals_of(store)) == 3
    for (name, labels), buckets in buckets_of(store).items():
        for bound, count in buckets.items():
            le = bound if bound == "+Inf" else f"{float(bound):g}"
            assert values[f"{name}_bucket", labels | {("le", le)}] == count
        assert values[f"{name}_count", labels] == buckets["+Inf"]
    assert values[series("beam_obs_run_status", status="done")] == 1


@pytest.mark.engines
def test_a_real_collector_adds_up_what_was_counted_since_the_last_time(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFERENCE, "delta")
    target = Otlp(collector.http)
    now = int(time.time()) - BEGAN
    for rows, at in ((3, now - 10), (10, now - 5), (12, now)):
        target.send(counted(rows, at, final=at == now))
    values = collector.values()
    assert values[series("rows_total", stage="use")] == 12
    assert values[series("wait_seconds_bucket", stage="use", le="1")] == 12
    assert values[series("wait_seconds_sum", stage="use")] == pytest.approx(6)
