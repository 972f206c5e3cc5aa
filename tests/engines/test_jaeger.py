"""Traces of records in a real Jaeger: found by its query API, with parents and links as they ought to be."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.lineage import fate
from tests.engines.collector import TakesOtlp, running_collector
from tests.engines.jaeger import Jaeger, running_jaeger
from tests.engines.prism import prism_options
from tests.traces.traced_runs import run_traced

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def jaeger() -> Iterator[Jaeger]:
    with running_jaeger() as found:
        yield found


def to_pair(line: str) -> tuple[str, int]:
    city, fare = line.split(",")
    return city, int(fare)


def total(key: str, values: Any) -> str:
    return f"{key} {sum(values)}"


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def by_name(trace: dict[str, Any], name: str, run: str) -> dict[str, Any]:
    """Returns the span of a run: another one of the same data has spans of its own in the same trace."""
    (span,) = [
        span
        for span in trace["spans"]
        if span["operationName"] == name and tags_of(span)["beam.run_id"] == run
    ]
    return dict(span)


def parent_id(span: dict[str, Any]) -> str | None:
    within = [one for one in span["references"] if one["traceID"] == span["traceID"]]
    return within[0]["spanID"] if within else None


def has(run: str, *names: str) -> Any:
    def is_whole(trace: dict[str, Any]) -> bool:
        of_run = [span for span in trace["spans"] if tags_of(span).get("beam.run_id") == run]
        return set(names) <= {span["operationName"] for span in of_run}

    return is_whole


@pytest.fixture(scope="module")
def collector(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TakesOtlp]:
    """A Collector that passes spans on to Jaeger."""
    folder = tmp_path_factory.mktemp("collector")
    with running_collector(folder, "traces", "otlphttp", {"endpoint": jaeger.http}) as found:
        yield found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_spans_go_by_a_collector_as_they_are(
    protocol: str,
    jaeger: Jaeger,
    collector: TakesOtlp,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "fares.csv").write_text(f"rome,1\n{protocol},2\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    address = collector.grpc if protocol == "grpc" else collector.http
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)

    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | "read" >> beam.io.ReadFromText(str(tmp_path / "fares.csv"))
        _ = read | "to pair" >> beam.Map(to_pair) | "write" >> beam.io.WriteToText(str(tmp_path / "out"))

    assert run_traced(tmp_path / "store", build) == []  # none are kept here

    store = obs.Store(str(tmp_path / "store"))
    record = store.find("latest")
    origin = fate(f"{tmp_path}/fares.csv:1", store=store).into.origin
    trace = jaeger.trace(origin.hex(), has(record.id, "read/Read", "to pair", "write"))
    source, step, sink = (by_name(trace, name, record.id) for name in ("read/Read", "to pair", "write"))
    assert [parent_id(one) for one in (source, step, sink)] == [None, source["spanID"], step["spanID"]]
    assert tags_of(source)["beam.source.uri"] == str(tmp_path / "fares.csv")
    assert tags_of(step)["otel.scope.name"] == "beam_obs"
    # It says of each span that begins when its parent has ended that it does not correct clocks.
    warnings = [warning for one in (source, step, sink) for warning in one["warnings"] or ()]
    assert [warning for warning in warnings if "clock skew" not in warning] == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("on", ["FnApiRunner", "Prism"])
def test_a_record_is_found_with_its_way_and_an_aggregate_with_links(
    protocol: str, on: str, jaeger: Jaeger, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = tmp_path / "fares.csv"
    lines.write_text(f"rome,1\nrome,2\n{on} {protocol},x\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.grpc if protocol == "grpc" else jaeger.http)

    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | "read" >> beam.io.ReadFromText(str(lines))
        pairs = read | "to pair" >> obs.Stage(beam.Map(to_pair))
        _ = pairs | "by city" >> beam.GroupByKey() | "total" >> beam.MapTuple(total)

    runner, options = (on, []) if on != "Prism" else ("PrismRunner", prism_options())
    kept = run_traced(
        tmp_path / "store", build, "--obs_trace_share=1", "--obs_max_dead_rate=1", *options, runner=runner
    )

    assert kept == []
    letter = next(obs.read_dead_letters("latest", store=obs.Store(str(tmp_path / "store"))))
    trace = jaeger.trace(str(letter.origin), has(letter.run, "to pair"))
    refused = by_name(trace, "to pair", letter.run)
    (source,) = [span for span in trace["spans"] if span["operationName"].startswith("read")]
    assert parent_id(refused) == source["spanID"]
    assert tags_of(refused)["beam.dead_letter_id"] == letter.id
    assert tags_of(refused)["otel.status_code"] == "ERROR"
    (event,) = refused["logs"]
    told = {field["key"]: field["value"] for field in event["fields"]}
    assert (told["event"], told["exception.type"]) == ("exception", "ValueError")
    assert trace["processes"][refused["processID"]]["serviceName"] == "traced"

    made = jaeger.traces(has(letter.run, "by city", "total"), service="traced", operation="by city")
    aggregate = by_name(made, "by city", letter.run)
    assert parent_id(by_name(made, "total", letter.run)) == aggregate["spanID"]
    linked = [one for one in aggregate["references"] if one["traceID"] != aggregate["traceID"]]
    assert len(linked) == 2
    for link in linked:
        of_record = jaeger.trace(link["traceID"], has(letter.run, "to pair"))
        assert by_name(of_record, "to pair", letter.run)["spanID"] == link["spanID"]
