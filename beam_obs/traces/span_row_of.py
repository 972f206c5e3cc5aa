"""A span of OpenTelemetry's SDK as a row of a store's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_obs.records.span_rows import SpanEvent, SpanLink, SpanRow
from beam_obs.traces.attributes import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

_NOTHING: Mapping[str, Any] = {}


def span_row_of(span: ReadableSpan, keeps_messages: bool = True) -> SpanRow:
    """Returns a span that has ended as a row.

    Args:
      span: of the SDK.
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
        context.trace_state.to_header(),
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
        span.instrumentation_scope.name if span.instrumentation_scope is not None else "",
        _told_of(span.resource),
    )


def _without(attributes: Mapping[str, Any], hidden: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in hidden}


_RESOURCES: dict[int, tuple[Resource, dict[str, Any]]] = {}
"""By identity: a process has one or two."""
_MOST_RESOURCES = 64


def _told_of(resource: Resource) -> dict[str, Any]:
    known = _RESOURCES.get(id(resource))
    if known is None or known[0] is not resource:
        if len(_RESOURCES) >= _MOST_RESOURCES:
            _RESOURCES.clear()
        known = _RESOURCES[id(resource)] = (resource, dict(resource.attributes))
    return known[1]
