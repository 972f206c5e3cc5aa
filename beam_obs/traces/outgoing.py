"""The trace that a record takes with it where it leaves: what receives it goes on in that trace."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from beam_obs.traces.incoming import INCOMING, trace_id_of
from beam_obs.traces.propagation import (
    OF_CLIENTS,
    RANDOM,
    TRACEPARENT,
    TRACESTATE,
    Incoming,
    MalformedTraceparent,
    of_attributes,
    texts_of,
)


def outgoing_trace(origin: bytes, run: str) -> Incoming:
    """Returns the trace that a record is to take with it.

    Its parent is the span that is current, where it is one of the record's trace. Of a record that is not
    sampled it is the span that the record came with; else one of nobody's, with an id of origin and run, that
    is not recorded.

    Args:
      origin: of the record, 16 bytes.
      run: id of the run.
    """
    from opentelemetry import trace

    incoming = INCOMING.get(origin)
    baggage = "" if incoming is None else incoming.baggage
    current = trace.get_current_span().get_span_context()
    if current.is_valid and current.trace_id == trace_id_of(origin):
        return Incoming(current, baggage)
    if incoming is not None:
        return incoming
    span_id = hashlib.blake2b(f"{origin.hex()}{run}".encode(), digest_size=8).digest()
    flags = trace.TraceFlags(RANDOM)
    return Incoming(trace.SpanContext(trace_id_of(origin), int.from_bytes(span_id, "big"), True, flags))


def with_trace(attributes: Mapping[str, str], outgoing: Incoming, longest: int) -> dict[str, str]:
    """Returns the attributes of a message with those of its trace.

    A trace that the message has already stays where it is another one: somebody has set it. Pub/Sub's client
    libraries look for names of their own, which are written for what is sampled.

    Args:
      attributes: of the message.
      outgoing: the trace.
      longest: bytes that an attribute may have; a longer one is left out.
    """
    try:
        given = of_attributes(attributes)
    except MalformedTraceparent:
        given = None
    context = outgoing.context
    if given is not None and given.context.trace_id != context.trace_id:
        return dict(attributes)
    kept = {name: value for name, value in attributes.items() if name not in _OF_TRACE}
    told = {name: text for name, text in texts_of(*outgoing).items() if len(text.encode()) <= longest}
    of_clients = told if context.trace_flags.sampled else {}
    return {**told, **{OF_CLIENTS + name: text for name, text in of_clients.items()}, **kept}


_OF_TRACE = {prefix + name for prefix in ("", OF_CLIENTS) for name in (TRACEPARENT, TRACESTATE)}
