"""The rules of W3C Trace Context, and the names by which Pub/Sub and Kafka carry it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

from beam_obs.records.origin import Partition
from beam_obs.traces.incoming import INCOMING, MOST, is_traced, note_incoming, trace_id_of
from beam_obs.traces.outgoing import outgoing_trace, with_trace
from beam_obs.traces.propagation import (
    Incoming,
    MalformedTraceparent,
    of_attributes,
    of_headers,
    texts_of,
)
from beam_obs.traces.sampling import is_sampled, threshold_of

ORIGIN = Partition("topic", "", wide=True).origin(7)
PARENT = "00-000102030405060708090a0b0c0d0e0f-0001020304050607-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture(autouse=True)
def nothing_came_before() -> Iterator[None]:
    INCOMING.clear()
    yield
    INCOMING.clear()


trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)
hexes = st.text("0123456789abcdef", max_size=34)
states = st.lists(
    st.tuples(st.from_regex(r"\A[a-z][a-z0-9_\-*/]{0,9}\Z"), st.from_regex(r"\A[!-+\--<>-~]{1,20}\Z")),
    max_size=5,
    unique_by=lambda member: member[0],
)


def context(trace_id: int = 1, span_id: int = 2, flags: int = 1, state: Any = ()) -> trace.SpanContext:
    return trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags), trace.TraceState(list(state)))


@given(trace_ids, span_ids, st.integers(0, 255), states)
def test_what_is_written_is_read_back(trace_id: int, span_id: int, flags: int, state: Any) -> None:
    told = texts_of(context(trace_id, span_id, flags, state))

    for found in (
        of_attributes(told),
        of_attributes({f"googclient_{name}": text for name, text in told.items()}),
        of_headers([(name, text.encode()) for name, text in told.items()]),
    ):
        assert found is not None
        read = found.context
        assert (read.trace_id, read.span_id, int(read.trace_flags)) == (trace_id, span_id, flags)
        assert list(read.trace_state.items()) == state
        assert read.is_remote


@given(st.one_of(st.text(max_size=80), st.builds("-".join, st.lists(hexes, min_size=3, max_size=5))))
def test_what_is_no_traceparent_is_refused_and_nothing_else_raised(text: str) -> None:
    try:
        found = of_attributes({"traceparent": text})
    except MalformedTraceparent:
        return
    assert found is not None
    assert found.context.is_valid


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + "0",
        PARENT + "-more",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + "-01",
        PARENT.replace("-", "_"),
        "00-000102030405060708090a0b0c0d0eg0-0001020304050607-01",
    ],
)
def test_a_malformed_traceparent_is_refused(text: str) -> None:
    with pytest.raises(MalformedTraceparent):
        of_attributes({"traceparent": text})
    with pytest.raises(MalformedTraceparent):
        of_headers([("traceparent", text.encode())])


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = of_attributes({"traceparent": "cc" + PARENT[2:] + "-what-the-future-brings"})
    assert found is not None
    assert found.context.trace_id == 0x000102030405060708090A0B0C0D0E0F


def test_a_tracestate_that_is_wrong_does_not_lose_the_trace() -> None:
    found = of_attributes({"traceparent": PARENT, "tracestate": "===,"})
    assert found is not None
    assert not found.context.trace_state


def test_a_tracestate_alone_is_no_trace() -> None:
    assert of_attributes({"tracestate": "a=b"}) is None
    assert of_attributes(None) is of_attributes({}) is of_headers(None) is None


def test_what_a_client_library_wrote_is_newer() -> None:
    newer = PARENT.replace("0001020304050607-01", "00000000000000aa-01")
    attributes = {"traceparent": PARENT, "googclient_traceparent": newer, "googclient_baggage": "a=1"}
    found = of_attributes(attributes)
    assert found is not None
    assert (found.context.span_id, found.baggage) == (0xAA, "a=1")
    other = of_attributes({"traceparent": PARENT, "googclient_traceparent": "torn"})
    assert other is not None
    assert other.context.span_id == 0x0001020304050607


def test_headers_are_pairs_or_rows_of_beams_and_the_last_of_a_name_holds() -> None:
    rows = [beam.Row(key="traceparent", value=b"torn"), beam.Row(key="traceparent", value=PARENT.encode())]
    assert of_headers(rows) == of_headers([("traceparent", PARENT.encode())])
    with pytest.raises(MalformedTraceparent):
        of_headers([("traceparent", b"\xff\xfe")])


@given(trace_ids, st.integers(0, 3), st.floats(0, 1))
def test_whoever_hands_a_record_on_and_whoever_takes_it_decide_alike(
    trace_id: int, flags: int, share: float
) -> None:
    threshold = threshold_of(share)
    note_incoming(ORIGIN, Incoming(context(trace_id, flags=flags)))

    if flags & 1:
        assert is_traced(ORIGIN, threshold)
    elif flags & 2:
        assert is_traced(ORIGIN, threshold) == is_sampled(trace_id.to_bytes(16, "big"), threshold)
    else:
        assert is_traced(ORIGIN, threshold) == is_sampled(ORIGIN, threshold)
    assert trace_id_of(ORIGIN) == trace_id


def test_of_records_that_came_long_ago_nothing_is_known() -> None:
    incoming = Incoming(context())
    for number in range(MOST + 5):
        note_incoming(number.to_bytes(16, "big"), incoming)
    assert len(INCOMING) == MOST
    assert (4).to_bytes(16, "big") not in INCOMING
    assert (MOST + 4).to_bytes(16, "big") in INCOMING


def test_a_record_without_a_trace_takes_that_of_its_origin_with_it() -> None:
    first, again = (with_trace({}, outgoing_trace(ORIGIN, "run"), 1024) for _ in range(2))
    assert first == again
    assert first["traceparent"].startswith(f"00-{ORIGIN.hex()}-")
    assert first["traceparent"].endswith("-02")
    assert set(first) == {"traceparent"}


def test_a_record_that_is_not_sampled_passes_on_what_it_came_with() -> None:
    came = of_attributes({"traceparent": UNSAMPLED, "tracestate": "a=b", "baggage": "user=7"})
    assert came is not None
    note_incoming(ORIGIN, came)
    told = with_trace({"kind": "a"}, outgoing_trace(ORIGIN, "run"), 1024)
    assert told == {"traceparent": UNSAMPLED, "tracestate": "a=b", "baggage": "user=7", "kind": "a"}


def test_the_span_that_is_current_is_the_parent_where_it_is_of_the_records_trace() -> None:
    ours = context(int.from_bytes(ORIGIN, "big"), 9, 3, [("ot", "th:0")])
    others = context(5, 9, 1)
    with trace.use_span(trace.NonRecordingSpan(ours)):
        told = with_trace({"googclient_tracestate": "old=1"}, outgoing_trace(ORIGIN, "run"), 1024)
    assert told == {
        prefix + name: text
        for prefix in ("", "googclient_")
        for name, text in (
            ("traceparent", f"00-{ORIGIN.hex()}-0000000000000009-03"),
            ("tracestate", "ot=th:0"),
        )
    }
    with trace.use_span(trace.NonRecordingSpan(others)):
        assert outgoing_trace(ORIGIN, "run").context.trace_id == int.from_bytes(ORIGIN, "big")


def test_a_trace_of_somebody_else_stays_on_a_message_and_one_that_is_torn_does_not() -> None:
    outgoing = outgoing_trace(ORIGIN, "run")
    assert with_trace({"traceparent": PARENT}, outgoing, 1024) == {"traceparent": PARENT}
    assert with_trace({"traceparent": "torn"}, outgoing, 1024)["traceparent"].startswith(f"00-{ORIGIN.hex()}")


def test_what_is_too_long_for_an_attribute_is_left_out() -> None:
    outgoing = Incoming(context(flags=0), "a=" + "b" * 2000)
    assert set(with_trace({}, outgoing, 1024)) == {"traceparent"}
