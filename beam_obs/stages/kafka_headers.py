"""The trace of a record in headers of Kafka, for Beam's cross-language reads and writes.

Beam has Java read and write Kafka; headers come and go as parts of rows. So user code hands them over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics

from beam_obs.metrics.names import NAMESPACE, TRACEPARENTS_IGNORED
from beam_obs.traces.bundle_spans import bundle_of_thread
from beam_obs.traces.incoming import note_incoming
from beam_obs.traces.outgoing import outgoing_trace
from beam_obs.traces.propagation import NAMES, MalformedTraceparent, of_headers, pairs_of, texts_of
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.record_at_work import step_at_work


def continue_trace(headers: Iterable[Any] | None) -> bool:
    """Lets the spans of the record at work go on in the trace that its headers tell of.

    For use inside of user code of a woven pipeline that reads Kafka, where a record is first worked on. It
    holds for the steps that follow, as far as they work in the same process. A ``traceparent`` that is
    malformed is ignored, and counted.

    Args:
      headers: of a record that `ReadFromKafka(with_metadata=True)` gives, or pairs of name and bytes.

    Returns:
      Whether there was a trace to go on in.

    Raises:
      TypeError: these are no headers.

    >>> continue_trace([("traceparent", b"00-000102030405060708090a0b0c0d0e0f-0001020304050607-01")])
    False
    """
    origin = current_origin()
    try:
        incoming = of_headers(headers)
    except MalformedTraceparent:
        Metrics.counter(NAMESPACE, TRACEPARENTS_IGNORED).inc()
        return False
    if origin is None or incoming is None:
        return False
    bundle_of_thread().identify()  # what has begun is of the trace that it had until now
    note_incoming(origin, incoming)
    _tell_of_step(origin)
    return True


def _tell_of_step(origin: bytes) -> None:
    """Makes the span of the step at work, at which the record's trace has become known."""
    step = step_at_work()
    tracer = None if step is None else step.tracer
    with contextlib.suppress(Exception):  # the record is what counts
        if tracer is not None and tracer.is_traced(origin):
            tracer.start(origin, is_first=True).end()


def trace_headers(headers: Iterable[Any] | None = None) -> list[beam.Row]:
    """Returns headers for a record that is to be written to Kafka, with the trace of the record at work.

    For use inside of user code of a woven pipeline, in front of `WriteToKafka(with_headers=True)`. Where no
    origin is known they are those that were given.

    Args:
      headers: that it has already; those of a trace are replaced.

    Returns:
      Rows of ``key`` and ``value``.

    Raises:
      TypeError: these are no headers.

    >>> trace_headers([("content-type", b"json")])
    [Row(key='content-type', value=b'json')]
    """
    given = [beam.Row(key=name, value=value) for name, value in pairs_of(headers)]
    origin = current_origin()
    if origin is None:
        return given
    told = texts_of(*outgoing_trace(origin, ""))
    kept = [header for header in given if header.key not in NAMES]
    return kept + [beam.Row(key=name, value=text.encode()) for name, text in told.items()]
