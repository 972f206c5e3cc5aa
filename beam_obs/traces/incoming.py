"""The traces that records of this process came with: their spans go on in them.

Only an origin rides beside a record. So what its source knows of its trace is noted here, by origin, for the
steps that follow in the same process. Behind a shuffle to another process it has the trace of its origin.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from beam_obs.traces.propagation import RANDOM
from beam_obs.traces.sampling import is_sampled

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from beam_obs.traces.propagation import Incoming

MOST = 1 << 15
"""Records whose traces are known, at most; of those before them nothing is known any more."""

INCOMING: dict[bytes, Incoming] = {}
"""Origin -> trace. The process functions of steps look into it."""

_RANDOM_BITS = 56


def note_incoming(origin: bytes, incoming: Incoming) -> None:
    """Notes that a record came with a trace.

    Args:
      origin: of the record, 16 bytes.
      incoming: the trace.
    """
    if len(INCOMING) >= MOST:
        with contextlib.suppress(StopIteration, RuntimeError, KeyError):  # another thread was faster
            INCOMING.pop(next(iter(INCOMING)))
    INCOMING[origin] = incoming


def trace_id_of(origin: bytes) -> int:
    """Returns the id of the trace that the spans of a record are of.

    >>> trace_id_of(bytes(15) + b"7")
    55
    """
    incoming = INCOMING.get(origin)
    return int.from_bytes(origin, "big") if incoming is None else incoming.context.trace_id


def came_with(origin: bytes) -> SpanContext | None:
    """Returns the span that the producer of a message sent it from; None where it came with none."""
    incoming = INCOMING.get(origin)
    return None if incoming is None else incoming.context


def is_traced(origin: bytes, threshold: int) -> bool:
    """Returns whether a record is sampled.

    The flag that it came with decides, else the random bits of its trace. So pipelines that hand a record on
    to one another decide alike.

    Args:
      origin: of the record, 16 bytes.
      threshold: of the low 56 bits.
    """
    incoming = INCOMING.get(origin)
    if incoming is None:
        return is_sampled(origin, threshold)
    context = incoming.context
    if context.trace_flags.sampled:
        return True
    if context.trace_flags & RANDOM:
        return context.trace_id & ((1 << _RANDOM_BITS) - 1) >= threshold
    return is_sampled(origin, threshold)
