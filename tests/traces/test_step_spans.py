"""Spans are noted while a step works and told apart later: nothing of that is to be seen in them."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import trace

from beam_obs.records.origin import Partition
from beam_obs.records.span_rows import SpanRow, spans_of_file
from beam_obs.records.trace_settings import STORE, TraceSettings
from beam_obs.traces.bundle_spans import MOST_BEGUN, bundle_of_thread
from beam_obs.traces.record_span import LONGEST, MOST_ATTRIBUTES
from beam_obs.traces.source_tracer import SourceTracer
from beam_obs.traces.step_tracer import StepTracer
from beam_obs.traces.traced_step import TracedStep
from beam_obs.traces.tracer import close_tracers

RUN = "01955a30-5f80-7abc-8def-0123456789ab"
ORIGINS = [Partition("a", "1").origin(number) for number in range(3)]


def spans_of(folder: pathlib.Path, call: Callable[[], None], is_ended: bool = True) -> list[SpanRow]:
    """Returns the spans of three records behind their source, each at a step twice, which calls something."""
    folder.mkdir()
    settings = TraceSettings(RUN, "noted", str(folder), STORE, False, 0, 1, 1)
    source = SourceTracer(TracedStep("read", settings, common="read"))
    step = StepTracer(TracedStep("step", settings, sources=("read",), common="read"))
    traced = step.calling(lambda _: call(), gives_many=False)
    for tracer in (source, step):
        tracer.start_bundle()
    for origin in ORIGINS:
        source.note(origin, 1_000)
        for _ in range(2):
            traced(origin)("a value")
    if is_ended:
        for tracer in (source, step):
            tracer.finish_bundle()
    close_tracers(RUN)
    bundle_of_thread().begin(step)
    found = [span for file in folder.glob("traces-*.jsonl") for span in spans_of_file(file.read_bytes())[0]]
    return [span for span in found if not span.name.endswith(" bundle")]


def ids(spans: list[SpanRow]) -> list[tuple[str, str, str, str]]:
    return sorted((span.name, span.trace_id, span.span_id, span.parent_id) for span in spans)


def asks(told: list[str]) -> Callable[[], None]:
    return lambda: told.append(f"{trace.get_current_span().get_span_context().span_id:016x}")


def asks_in_a_thread(told: list[str]) -> Callable[[], None]:
    def ask() -> None:
        span = trace.get_current_span()
        thread = threading.Thread(target=lambda: told.append(f"{span.get_span_context().span_id:016x}"))
        thread.start()
        thread.join()

    return ask


@pytest.mark.parametrize("asking", [asks, asks_in_a_thread])
def test_ids_are_the_same_whether_somebody_asks_for_them_at_once_or_not(
    asking: Any, tmp_path: pathlib.Path
) -> None:
    quiet = spans_of(tmp_path / "quiet", lambda: None)
    told: list[str] = []
    asked = spans_of(tmp_path / "asked", asking(told))
    assert ids(asked) == ids(quiet)
    assert len({span.span_id for span in quiet}) == 9
    assert sorted(told) == sorted(span.span_id for span in asked if span.name == "step")
    sources = {span.trace_id: span.span_id for span in quiet if span.name == "read"}
    assert all(span.parent_id == sources[span.trace_id] for span in quiet if span.name == "step")


def test_what_user_code_puts_on_a_span_is_told(tmp_path: pathlib.Path) -> None:
    def put() -> None:
        span = trace.get_current_span()
        span.set_attribute("of the user", 1)
        span.update_name("renamed")

    spans = spans_of(tmp_path / "put", put)
    renamed = [span for span in spans if span.name == "renamed"]
    assert [span.attributes["of the user"] for span in renamed] == [1] * 6
    assert {span.attributes["beam.origin"] for span in renamed} == {one.hex() for one in ORIGINS}
    assert ids(spans_of(tmp_path / "quiet", lambda: None))[0][1:] in [one[1:] for one in ids(spans)]


def test_a_span_on_which_user_code_puts_too_much_is_still_one_of_its_record(tmp_path: pathlib.Path) -> None:
    def put() -> None:
        span = trace.get_current_span()
        for number in range(2 * MOST_ATTRIBUTES):
            span.set_attribute(f"of the user {number}", number)

    spans = [span for span in spans_of(tmp_path / "put", put) if span.name == "step"]
    assert {span.attributes["beam.origin"] for span in spans} == {one.hex() for one in ORIGINS}
    for span in spans:
        assert {"beam.run_id", "beam.bundle", f"of the user {2 * MOST_ATTRIBUTES - 1}"} < set(span.attributes)
        assert len(span.attributes) == MOST_ATTRIBUTES


def test_names_of_spans_and_texts_of_their_status_are_bounded(tmp_path: pathlib.Path) -> None:
    """The SDK bounds attributes only, and puts the message of an exception into the status."""
    long = "long" * LONGEST

    def put() -> None:
        trace.get_current_span().update_name(long)
        trace.get_current_span().set_status(trace.StatusCode.ERROR, long)
        with suppress(ValueError), trace.get_tracer("of the user").start_as_current_span("n" + long):
            raise ValueError(long)

    spans = [span for span in spans_of(tmp_path / "put", put) if span.name.startswith(("long", "nlong"))]
    assert len(spans) == 12
    assert {len(span.name) for span in spans} == {len(span.message) for span in spans} == {LONGEST}
    assert {len(span.events) for span in spans if span.name.startswith("n")} == {1}


def test_the_variable_for_the_name_of_the_service_goes_first(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put() -> None:
        with trace.get_tracer("of the user").start_as_current_span("inside"):
            pass

    def services(folder: str) -> set[str]:
        return {str(span.resource["service.name"]) for span in spans_of(tmp_path / folder, put)}

    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=one,team=trips")
    assert services("attributes") == {"one"}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    assert services("both") == {"other"}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "peer.service.name=one")
    (pipeline,) = services("neither")
    assert pipeline not in ("one", "other", "unknown_service")


def test_spans_of_a_bundle_whose_end_never_comes_are_told_when_the_run_ends(tmp_path: pathlib.Path) -> None:
    assert ids(spans_of(tmp_path / "torn", lambda: None, is_ended=False)) == ids(
        spans_of(tmp_path / "whole", lambda: None)
    )


def test_spans_of_a_long_bundle_do_not_wait_for_its_end(tmp_path: pathlib.Path) -> None:
    settings = TraceSettings(RUN, "long", str(tmp_path), STORE, False, 0, 1, 1)
    step = StepTracer(TracedStep("step", settings))
    step.start_bundle()
    bundle, most = bundle_of_thread(), 0
    for number in range(3 * MOST_BEGUN):
        step.start(Partition("a", "1").origin(number)).end()
        most = max(most, bundle.waiting)
    assert 0 < most < MOST_BEGUN
    close_tracers(RUN)
    assert bundle.waiting == 0
