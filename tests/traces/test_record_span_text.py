"""Spans of ours, written out by hand, say in a store's file what their rows would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from beam_obs.records.span_rows import span_text
from beam_obs.traces.attributes import ORIGIN
from beam_obs.traces.record_span import RecordSpan
from beam_obs.traces.record_span_text import record_span_text
from beam_obs.traces.span_row_of import span_row_of

ORIGIN_TEXT = "4b318c6100000004001d3ce7345034f1"


class _Maker:
    told_of_process = {"service.name": "flights"}
    sink: Any = None

    def take(self, span: Any) -> None:
        """Keeps nothing."""


def span_of(attributes: dict[str, Any], parent: int | None, state: TraceState, name: str) -> RecordSpan:
    maker: Any = _Maker()
    maker.sink = maker
    flags = TraceFlags(TraceFlags.SAMPLED)
    context = SpanContext(int(ORIGIN_TEXT, 16), 7, False, flags, state)
    above = None if parent is None else SpanContext(context.trace_id, parent, True, flags, state)
    return RecordSpan(maker, name, context, above, attributes, (), 1_000)


@pytest.mark.parametrize("parent", [None, 0x1234])
@pytest.mark.parametrize("state", [TraceState(), TraceState([("ot", "th:c")])])
@pytest.mark.parametrize("name", ["parse", 'odd "label" \\ \n é'])
def test_the_text_of_a_span_says_what_its_row_does(parent: int | None, state: TraceState, name: str) -> None:
    told = {
        ORIGIN: ORIGIN_TEXT,
        "beam.run_id": 'a "run"',
        "number": 1,
        "yes": True,
        "share": 0.5,
        "many": (1, 2),
    }
    span = span_of(told, parent, state, name)
    span.set_attribute("of the user", "é\udc80")
    span.end(2_000)

    assert json.loads(record_span_text(span)) == json.loads(span_text(span_row_of(span)))


def test_values_that_are_equal_and_not_the_same_are_told_apart() -> None:
    texts = [
        record_span_text(span_of({"a": value}, None, TraceState(), "s")) for value in ("1", 1, True, 1.0)
    ]

    assert len(set(texts)) == 4
