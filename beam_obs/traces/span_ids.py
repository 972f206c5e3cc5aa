"""Ids of spans that are the same whenever a bundle of a run is tried again, on every worker and runner.

A stable format: the id of a record's span at a step is blake2b of

    origin (16 bytes) + index (8 bytes, big endian) + id of the run (36 bytes) + label of the step (UTF-8)

of 8 bytes, with the personal string "beam_obs.span1"; 1 where that is 0, which no span may have. The
index counts the spans that one origin has had at the step within a bundle: a record that was made into many
comes more than once.
"""

from __future__ import annotations

import hashlib
import uuid

_PERSON = b"beam_obs.span1"
_OF_RUN = "beam_obs run"


def span_id_of(origin: bytes, step: str, run: str, index: int = 0) -> int:
    """Returns the 64-bit id of a record's span at a step, never 0.

    Args:
      origin: 16 bytes, or what else stands for the whole of a trace.
      step: full label of the step.
      run: id of the run: another one has spans of its own in the same trace.
      index: how many spans the origin has had there before in its bundle.

    >>> origin = bytes.fromhex("4b318c6100000004001d3ce7345034f1")
    >>> run = "01955a30-5f80-7abc-8def-0123456789ab"
    >>> f"{span_id_of(origin, 'parse', run):016x}"
    'e0d2569d4aaeaee3'
    """
    digest = hashlib.blake2b(
        origin + index.to_bytes(8, "big") + run.encode() + step.encode(), digest_size=8, person=_PERSON
    ).digest()
    return int.from_bytes(digest, "big") or 1


def trace_id_of_run(run: str) -> int:
    """Returns the 128-bit id of the trace of a run: its own id, which is a UUID.

    >>> f"{trace_id_of_run('01955a30-5f80-7abc-8def-0123456789ab'):032x}"
    '01955a305f807abc8def0123456789ab'
    """
    return uuid.UUID(run).int


def span_id_of_run(run: str) -> int:
    """Returns the 64-bit id of a run's own span.

    >>> span_id_of_run("01955a30-5f80-7abc-8def-0123456789ab") > 0
    True
    """
    return span_id_of(uuid.UUID(run).bytes, _OF_RUN, run)
