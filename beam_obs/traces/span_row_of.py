"""A span that has ended as a row of a store's file, whether it is ours or of OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from beam_obs.records.span_rows import SpanEvent, SpanLink, SpanRow
from beam_obs.traces.attributes import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE
from beam_obs.traces.record_span import SCOPE, RecordSpan

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TraceState

T = TypeVar("T")

_NOTHING: Mapping[str, Any] = {}


def span_row_of(span: ReadableSpan | RecordSpan, keeps_messages: bool = True) -> SpanRow:
    """Returns a span that has ended as a row.

    Args:
      span: ours or of the SDK.
      keeps_messages: whether messages and tracebacks of exceptions may be kept.
    """
    hidden = () if keeps_messages else (EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE)
    context = span.get_span_context()
    assert context is not None
    return SpanRow(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        span.name,
        span.start_time or 0,
        span.end_time or 0,
        f"{span.parent.span_id:016x}" if span.parent is not None else "",
        span.kind.value + 1,
        span.status.status_code.value,
        (span.status.description or "") if keeps_messages else "",
        header_of(context.trace_state),
        dict(span.attributes or _NOTHING),
        tuple(
            SpanEvent(one.name, one.timestamp, _without(one.attributes or _NOTHING, hidden))
            for one in span.events
        ),
        tuple(
            SpanLink(
                f"{one.context.trace_id:032x}",
                f"{one.context.span_id:016x}",
                dict(one.attributes or _NOTHING),
            )
            for one in span.links
        ),
        _scope_of(span),
        span.told_of_process if isinstance(span, RecordSpan) else _told_of(span.resource),
    )


def _without(attributes: Mapping[str, Any], hidden: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in hidden}


def _scope_of(span: ReadableSpan | RecordSpan) -> str:
    if isinstance(span, RecordSpan):
        return SCOPE
    return span.instrumentation_scope.name if span.instrumentation_scope is not None else ""


_KNOWN: dict[int, tuple[Any, Any]] = {}
"""What is told of resources and of states of traces, by identity: many spans share the few of a process."""
_MOST_KNOWN = 64


def _told_of(resource: Resource) -> dict[str, Any]:
    return _known(resource, lambda: dict(resource.attributes))


def header_of(state: TraceState) -> str:
    return _known(state, state.to_header)


def _known(thing: Any, tell: Callable[[], T]) -> T:
    known = _KNOWN.get(id(thing))
    if known is None or known[0] is not thing:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[id(thing)] = (thing, tell())
    told: T = known[1]
    return told
