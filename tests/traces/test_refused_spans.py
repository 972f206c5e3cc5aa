"""A record that is refused is traced, sampled or not: with its exception, and the id of its dead letter."""

from __future__ import annotations

import pathlib

import apache_beam as beam
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import beam_obs as obs
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.traces.sampling import is_sampled, threshold_of, tracestate_of
from beam_obs.traces.span_row_of import span_row_of
from tests.traces.traced_runs import all_spans_in, named, run_traced, spans_in


def parse(text: str) -> int:
    return int(text)


def parse_within(text: str) -> int:
    with trace.get_tracer("of the user").start_as_current_span("inside"):
        return int(text)


def letters_in(folder: pathlib.Path) -> list[DeadLetter]:
    return list(obs.read_dead_letters("latest", store=obs.Store(str(folder))))


def build(pipeline: beam.Pipeline) -> None:
    _ = pipeline | beam.Create(["1", "x", "y"]) | "parse" >> obs.Stage(beam.Map(parse))


@pytest.mark.parametrize("share", [0, 1])
def test_what_a_stage_refuses_has_a_span(share: int, tmp_path: pathlib.Path) -> None:
    spans = run_traced(tmp_path, build, f"--obs_trace_share={share}", "--obs_max_dead_rate=1")

    failed = [span for span in named(spans, "parse") if span.status == 2]
    letters = letters_in(tmp_path)
    assert {span.attributes["beam.dead_letter_id"] for span in failed} == {letter.id for letter in letters}
    assert {span.trace_id for span in failed} == {letter.origin for letter in letters}
    assert {f"00-{span.trace_id}-{span.span_id}" for span in failed} == {
        str(letter.traceparent)[:52] for letter in letters
    }
    assert len(named(spans, "parse")) == 2 + share
    for span in failed:
        (event,) = span.events
        assert event.name == "exception"
        assert event.attributes["exception.type"] == span.attributes["error.type"] == "ValueError"
        assert "invalid literal" in event.attributes["exception.message"]
        assert "in parse" in event.attributes["exception.stacktrace"]


@pytest.mark.parametrize("target", ["store", "provider"])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_threshold_is_told_of_what_it_has_sampled_only(
    share: float, target: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who counts by ``th`` what a span stands for would count what is traced in any case as many."""
    kept = InMemorySpanExporter()
    if target == "provider":
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    def many(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([f"x{n}" for n in range(20)]) | "parse" >> obs.Stage(beam.Map(parse))

    found = run_traced(
        tmp_path, many, f"--obs_trace_share={share}", f"--obs_traces={target}", "--obs_max_dead_rate=1"
    )

    spans = found or [span_row_of(one) for one in kept.get_finished_spans()]
    refused = [span for span in spans if "beam.dead_letter_id" in span.attributes]
    threshold = threshold_of(share)
    assert len(refused) == 20
    for span in refused:
        is_of_share = is_sampled(bytes.fromhex(span.trace_id), threshold)
        assert span.trace_state == (f"ot={tracestate_of(threshold)}" if is_of_share else "")


@pytest.mark.parametrize("share", [0, 1])
def test_values_are_hidden_as_in_the_dead_letter(share: int, tmp_path: pathlib.Path) -> None:
    secret = "5 Elm Street"

    def of_secrets(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([secret]) | "parse" >> obs.Stage(beam.Map(parse_within))

    # A function of the user's that makes spans of its own is told of by them too.
    spans = run_traced(
        tmp_path, of_secrets, f"--obs_trace_share={share}", "--obs_max_dead_rate=1", "--obs_payload=none"
    )

    assert len([span for span in spans if span.status == 2]) == 1
    assert secret not in repr(spans)
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("runs/*/*/traces-*.jsonl"))
    assert (b'"inside"' in kept) == (share == 1)
    assert secret.encode() not in kept


def test_a_line_that_a_read_refuses_has_a_span(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"a": 1}\n{"a": \n')

    def reading(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "read" >> obs.ReadFromJson(str(tmp_path / "in.jsonl")) | beam.Map(print)

    spans = run_traced(tmp_path / "store", reading, "--obs_trace_share=0", "--obs_max_dead_rate=1")

    (span,) = spans
    (letter,) = letters_in(tmp_path / "store")
    assert (span.name, span.status, span.trace_id) == ("read", 2, letter.origin)
    assert span.attributes["beam.dead_letter_id"] == letter.id


def test_without_lineage_a_refusal_has_a_span_too(tmp_path: pathlib.Path) -> None:
    run_traced(tmp_path, build, "--obs_traces=store", "--obs_lineage=off", "--obs_max_dead_rate=1")

    found = spans_in(tmp_path)
    assert {span.attributes["beam.dead_letter_id"] for span in found} == {
        letter.id for letter in letters_in(tmp_path)
    }
    assert all(span.attributes["beam.origin"] == "" for span in found)


def test_of_a_refused_record_without_origin_no_place_is_told(tmp_path: pathlib.Path) -> None:
    """The id of its trace says nothing, though it may look like the origin of a record with a position."""

    def many(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create(["x"] * 40) | "parse" >> obs.Stage(beam.Map(parse))

    run_traced(tmp_path, many, "--obs_traces=store", "--obs_lineage=off", "--obs_max_dead_rate=1")

    found = spans_in(tmp_path)
    assert len(found) == 40
    assert not any("beam.position" in span.attributes or span.parent_id for span in found)


def test_a_run_that_is_not_traced_keeps_no_spans(tmp_path: pathlib.Path) -> None:
    assert run_traced(tmp_path, build, "--obs_traces=off", "--obs_max_dead_rate=1") == []
    assert [letter.traceparent for letter in letters_in(tmp_path)] == [None, None]


def test_what_beams_own_error_handling_refused_has_a_span(tmp_path: pathlib.Path) -> None:
    def build(p: beam.Pipeline) -> None:
        with obs.DeadLetters(str(tmp_path / "letters")) as dead:
            texts = p | beam.Create(["1", "x"]).with_output_types(str)
            _ = texts | "parse" >> beam.Map(int).with_exception_handling(error_handler=dead)

    run_traced(tmp_path / "store", build, "--obs_traces=store", "--obs_lineage=off", "--obs_max_dead_rate=1")

    (span,) = [one for one in all_spans_in(tmp_path / "store") if "beam.dead_letter_id" in one.attributes]
    assert (span.name, span.status) == ("parse", 2)
