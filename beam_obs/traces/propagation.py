"""Trace context of messages: read from and written to attributes of Pub/Sub and headers of Kafka.

W3C Trace Context as OpenTelemetry reads and writes it: ``traceparent`` and ``tracestate``, and ``baggage``,
which is passed on as it came. Pub/Sub's client libraries put ``googclient_`` before these names; where a
message has both, theirs are newer, since they are written when a message is sent.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
BAGGAGE = "baggage"
NAMES = (TRACEPARENT, TRACESTATE, BAGGAGE)
OF_CLIENTS = "googclient_"
"""Before the names that Pub/Sub's client libraries write."""

RANDOM = 0x02
"""Flag of a trace id whose low 56 bits are random: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag"""


class MalformedTraceparent(ValueError):
    """A ``traceparent`` is not what W3C Trace Context asks for, so that it is to be ignored."""


class Incoming(NamedTuple):
    """The trace that a record came with.

    Args:
      context: of the span that sent it.
      baggage: as it came; empty where there is none.
    """

    context: SpanContext
    baggage: str = ""


def of_attributes(attributes: Mapping[str, str] | None) -> Incoming | None:
    """Returns the trace that a message of Pub/Sub came with, or None.

    Args:
      attributes: of the message.

    Raises:
      MalformedTraceparent: it has a ``traceparent`` that cannot be read.

    >>> found = of_attributes({"traceparent": "00-000102030405060708090a0b0c0d0e0f-0001020304050607-01"})
    >>> f"{found.context.trace_id:032x}", found.context.trace_flags.sampled
    ('000102030405060708090a0b0c0d0e0f', True)
    """
    if not attributes:
        return None
    malformed = None
    for prefix in (OF_CLIENTS, ""):
        if prefix + TRACEPARENT in attributes:
            try:
                return _incoming({name: attributes.get(prefix + name) for name in NAMES})
            except MalformedTraceparent as error:
                malformed = error
    if malformed is not None:
        raise malformed
    return None


def of_headers(headers: Iterable[Any] | None) -> Incoming | None:
    """Returns the trace that a record of Kafka came with, or None.

    Args:
      headers: pairs of name and bytes, or rows with ``key`` and ``value`` as Beam's ReadFromKafka gives them
        with its ``with_metadata=True``. Of those with one name the last holds, as for Kafka's own clients.

    Raises:
      MalformedTraceparent: it has a ``traceparent`` that cannot be read.
      TypeError: these are no headers.

    >>> of_headers([("content-type", b"json")]) is None
    True
    """
    found: dict[str, str | None] = {}
    for name, value in pairs_of(headers):
        if name in NAMES:
            found[name] = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return _incoming(found) if TRACEPARENT in found else None


def pairs_of(headers: Iterable[Any] | None) -> list[tuple[str, Any]]:
    """Returns names and values of headers of Kafka, each a pair or a row.

    Raises:
      TypeError: they are neither.
    """
    wrong = "headers are pairs of name and bytes, or rows with key and value; got {!r}"
    found = []
    if headers is not None and not isinstance(headers, Iterable):
        raise TypeError(wrong.format(headers))
    for header in headers or ():
        if hasattr(header, "key"):
            found.append((header.key, header.value))
        elif isinstance(header, (tuple, list)) and len(header) == 2:
            found.append((header[0], header[1]))
        else:
            raise TypeError(wrong.format(header))
    return found


def texts_of(context: SpanContext, baggage: str = "") -> dict[str, str]:
    """Returns the texts by name that tell a receiver of a trace.

    Args:
      context: of the span that it is to be a child of.
      baggage: to be passed on.
    """
    texts = {
        TRACEPARENT: f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
    }
    if context.trace_state:
        texts[TRACESTATE] = context.trace_state.to_header()
    if baggage:
        texts[BAGGAGE] = baggage
    return texts


def _incoming(texts: Mapping[str, str | None]) -> Incoming:
    from opentelemetry import trace
    from opentelemetry.context import Context

    given = {name: text for name, text in texts.items() if isinstance(text, str)}
    found = trace.get_current_span(_propagator().extract(given, Context())).get_span_context()
    if not found.is_valid:
        raise MalformedTraceparent(f"no traceparent of W3C Trace Context: {given.get(TRACEPARENT)!r}")
    return Incoming(found, given.get(BAGGAGE, ""))


@functools.lru_cache(maxsize=1)
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()
