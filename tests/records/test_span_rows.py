"""Spans in a store's files: what was written is read, and what is damaged is counted."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from beam_obs.records.span_rows import SpanEvent, SpanLink, SpanRow, file_of_spans, spans_of_file

TEXTS = st.text(max_size=20)
VALUES = st.one_of(
    TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.lists(TEXTS)
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
TRACES, SPANS = (st.binary(min_size=size, max_size=size).map(bytes.hex) for size in (16, 8))
TIMES = st.integers(0, 2**63 - 1)
ROWS = st.builds(
    SpanRow,
    TRACES,
    SPANS,
    TEXTS,
    TIMES,
    TIMES,
    st.one_of(st.just(""), SPANS),
    st.integers(1, 5),
    st.integers(0, 2),
    TEXTS,
    st.just("ot=th:c"),
    ATTRIBUTES,
    st.tuples(st.builds(SpanEvent, TEXTS, TIMES, ATTRIBUTES)),
    st.tuples(st.builds(SpanLink, TRACES, SPANS, ATTRIBUTES)),
    TEXTS,
    ATTRIBUTES,
)
ROW = SpanRow("0" * 31 + "1", "0" * 15 + "2", "parse", 5, 7)


@given(st.lists(ROWS, max_size=4))
@pytest.mark.slow
def test_spans_come_back_as_they_were(rows: list[SpanRow]) -> None:
    found, unread = spans_of_file(file_of_spans(rows))

    assert unread == 0
    assert sorted(map(repr, found)) == sorted(map(repr, rows))


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_a_file_is_the_json_of_otlp(rows: list[SpanRow]) -> None:
    told = json.loads(file_of_spans(rows))

    # Its ids are hex there, which is the one thing in which OTLP's JSON is not that of protobuf.
    parsed = json_format.ParseDict(told, TracesData())

    spans = [span for one in parsed.resource_spans for scope in one.scope_spans for span in scope.spans]
    assert sorted(span.start_time_unix_nano for span in spans) == sorted(row.start for row in rows)


def test_what_is_damaged_is_counted_and_the_rest_is_read() -> None:
    good = json.loads(file_of_spans([ROW]))
    bad = json.loads(file_of_spans([ROW]))
    bad["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = "x"
    lines = [json.dumps(good), "{", "[]", '{"resourceSpans": [7]}', json.dumps(bad), ""]

    found, unread = spans_of_file("\n".join(lines).encode())

    assert found == [ROW]
    assert unread == 4
