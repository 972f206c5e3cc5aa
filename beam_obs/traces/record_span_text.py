"""The text of a span of ours in a store's file. Most say the same but for origin and times: that is kept."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from beam_obs.records.span_rows import attribute_text, quoted
from beam_obs.traces.attributes import ORIGIN
from beam_obs.traces.record_span import RecordSpan
from beam_obs.traces.span_row_of import header_of

if TYPE_CHECKING:
    from opentelemetry.trace import TraceState

_known_attribute = functools.lru_cache(maxsize=512)(attribute_text)
_known_text = functools.lru_cache(maxsize=512)(quoted)


@functools.lru_cache(maxsize=64)
def _known_state(state: str) -> str:
    return f',"traceState":{quoted(state)}'


def text_of_state(state: TraceState) -> str:
    """Returns what stands in the text of a span for the state of its trace."""
    told = header_of(state)
    return _known_state(told) if told else ""


def is_plain(span: RecordSpan) -> bool:
    """Returns whether nothing happened during a span, and it has to do with no other trace."""
    return not span.events and not span.links and span.status is RecordSpan.status


def record_span_text(span: RecordSpan) -> str:
    """Returns a plain span that has ended as JSON, as `span_text` does of its row."""
    context, parent = span.context, span.parent
    told = [
        _known_attribute(key, value)
        if value.__class__ is str and key != ORIGIN
        else attribute_text(key, value)
        for key, value in span.attributes.items()
    ]
    below = "" if parent is None else f',"parentSpanId":"{parent.span_id:016x}"'
    return (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"'
        f',"name":{_known_text(span.name)},"kind":1'
        f',"startTimeUnixNano":"{span.start_time}","endTimeUnixNano":"{span.end_time}"{below}'
        f'{text_of_state(context.trace_state)},"attributes":[{",".join(told)}]}}'
    )
