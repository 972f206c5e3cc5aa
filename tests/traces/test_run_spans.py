"""A run has a span, and below it one for each bundle of a step, as long as they are few."""

from __future__ import annotations

import pathlib
import threading
import uuid
from collections.abc import Iterator

import apache_beam as beam
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.util._once import Once

import beam_obs as obs
from beam_obs.traces import provider_flush
from beam_obs.traces.slow_gate import SlowGate
from tests.traces.traced_runs import all_spans_in, named, run_traced


def build(pipeline: beam.Pipeline) -> None:
    lines = pipeline | beam.Create(["1", "x", "3"]) | "parse" >> obs.Stage(beam.Map(int))
    _ = lines | "plain" >> beam.Map(str)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a provider that the program has set up itself was given."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def test_bundles_are_told_below_the_run(tmp_path: pathlib.Path) -> None:
    run_traced(tmp_path, build, "--obs_trace_share=0", "--obs_max_dead_rate=1")

    record = obs.Store(str(tmp_path)).find("latest")
    spans = all_spans_in(tmp_path)
    (run,) = named(spans, "traced")
    (bundle,) = named(spans, "parse bundle")
    assert run.trace_id == uuid.UUID(record.id).hex
    assert run.parent_id == ""
    assert run.attributes["beam.run_status"] == "done"
    assert (bundle.trace_id, bundle.parent_id) == (run.trace_id, run.span_id)
    counts = {name: value for name, value in bundle.attributes.items() if name.startswith("beam.elements.")}
    assert counts == {
        "beam.elements.in": 3,
        "beam.elements.out": 2,
        "beam.elements.dead": 1,
        "beam.elements.filtered": 0,
    }
    assert len(named(spans, "plain bundle")) == 1
    assert all(run.start <= span.start and span.end <= run.end for span in spans)


def test_a_run_that_failed_says_by_what(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        run_traced(tmp_path, lambda p: p | beam.Create(["x"]) | beam.Map(int), "--obs_trace_share=0")

    (run,) = named(all_spans_in(tmp_path), "traced")
    assert (run.status, run.attributes["beam.run_status"]) == (2, "failed")
    assert run.events[0].attributes["exception.type"] == "ValueError"


def test_a_provider_of_the_programs_own_gets_all_spans(
    tmp_path: pathlib.Path, exported: InMemorySpanExporter
) -> None:
    with trace.get_tracer("of the program").start_as_current_span("job"):
        kept = run_traced(tmp_path, build, "--obs_trace_share=1", "--obs_max_dead_rate=1")

    spans = {span.name: span for span in exported.get_finished_spans()}
    assert kept == all_spans_in(tmp_path) == []
    job, run, bundle, plain = (spans[name] for name in ("job", "traced", "parse bundle", "plain"))
    assert run.parent is not None
    assert run.parent.span_id == job.context.span_id
    assert bundle.parent is not None
    assert bundle.parent.span_id == run.context.span_id
    # The trace id holds; the span's is the provider's, and what it would have been is told.
    assert plain.attributes is not None
    assert f"{plain.context.trace_id:032x}" == plain.attributes["beam.origin"]
    assert len(str(plain.attributes["beam.span_key"])) == 16
    of_record = [
        span
        for span in exported.get_finished_spans()
        if span.name == "parse" and span.context.trace_id == plain.context.trace_id
    ]
    assert plain.parent is not None
    assert [span.context.span_id for span in of_record] == [plain.parent.span_id]


def test_a_provider_alone_turns_traces_on_and_off_turns_them_off(
    tmp_path: pathlib.Path, exported: InMemorySpanExporter
) -> None:
    run_traced(tmp_path, build, "--obs_traces=off", "--obs_max_dead_rate=1")
    assert exported.get_finished_spans() == ()

    run_traced(tmp_path, build, "--obs_traces=auto", "--obs_max_dead_rate=1")
    assert "traced" in {span.name for span in exported.get_finished_spans()}


def test_a_sampler_that_leaves_out_what_is_sampled_is_told_once(
    tmp_path: pathlib.Path,
    exported: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider = trace.get_tracer_provider()
    monkeypatch.setattr(provider, "sampler", TraceIdRatioBased(0.0))

    run_traced(tmp_path, build, "--obs_trace_share=1", "--obs_max_dead_rate=1")

    assert exported.get_finished_spans() == ()
    assert len([one for one in caplog.messages if "as ParentBased(TraceIdRatioBased{0.0}) does" in one]) == 1


class Stuck(SpanProcessor):
    """As the SDK's batches where the backend is down: it waits whatever time it is given."""

    def __init__(self) -> None:
        self.is_up = threading.Event()
        self.began = self.ended = 0

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.began += 1
        self.is_up.wait(10)
        self.ended += 1
        return True


def all_done() -> None:
    for thread in threading.enumerate():
        if thread.name == "beam_obs flush":
            thread.join(10)


def test_a_run_does_not_wait_for_a_provider_whose_backend_is_down(
    tmp_path: pathlib.Path, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_flush, "SECONDS", 0.01)
    stuck = Stuck()
    trace.get_tracer_provider().add_span_processor(stuck)  # type: ignore[attr-defined]

    try:
        run_traced(tmp_path, build, "--obs_trace_share=1", "--obs_max_dead_rate=1")
        assert (stuck.began, stuck.ended) == (1, 0)
    finally:
        stuck.is_up.set()
    assert "plain" in {span.name for span in exported.get_finished_spans()}


def test_a_provider_is_waited_for_again_when_its_backend_is_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    flush = provider_flush.ProviderFlush(stuck)
    monkeypatch.setattr(provider_flush, "SECONDS", 0.01)
    flush()  # in vain
    flush()  # does not try while the one before does
    assert (stuck.began, stuck.ended) == (1, 0)

    monkeypatch.setattr(provider_flush, "SECONDS", 10.0)
    stuck.is_up.set()
    all_done()
    flush()  # does not wait, since the one before took too long
    all_done()
    flush()
    assert stuck.ended == 3


def test_a_sampler_that_takes_nothing_leaves_out_what_it_was_asked_to(
    tmp_path: pathlib.Path,
    exported: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(trace.get_tracer_provider(), "sampler", ALWAYS_OFF)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

    run_traced(tmp_path, build, "--obs_max_dead_rate=1")

    assert exported.get_finished_spans() == ()
    assert "leaves out" not in caplog.text


def test_a_gate_opens_again_after_a_while() -> None:
    now = [0.0]
    gate = SlowGate(2, 10.0, lambda: now[0])

    together = [gate.may_go() for _ in range(4)]
    now[0] = 10.0
    later = [gate.may_go() for _ in range(2)]

    assert together == [True, True, False, False]
    assert later == [True, False]
