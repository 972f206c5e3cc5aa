"""Ids of spans that are the same whenever a bundle of a run is tried again, on every worker and runner.

A stable format: the id of a record's span at a step is blake2b of

    origin (16 bytes) + index (8 bytes, big endian) + id of the run (36 bytes) + label of the step (UTF-8)

of 8 bytes, with the personal string "beam_obs.span1"; 1 where that is 0, which no span may have. Where a
step may have several elements of one origin, what tells the element from others stands behind the label: what
`below` gives of the span before, where that is of the same bundle, else what `content_of` gives of the
element. The index counts what would have the same id otherwise within a bundle.
"""

from __future__ import annotations

import functools
import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from beam_obs.records.record_content import record_content

_LONGEST = 1 << 16
_copy_of_empty = hashlib.blake2b(digest_size=8, person=b"beam_obs.span1").copy
_OF_RUN = "beam_obs run"


def span_id_of(origin: bytes, step: str, run: str, index: int = 0, content: bytes = b"") -> int:
    """Returns the 64-bit id of a record's span at a step, never 0.

    Args:
      origin: 16 bytes, or what else stands for the whole of a trace.
      step: full label of the step.
      run: id of the run: another one has spans of its own in the same trace.
      index: how many spans of the same there were before in the bundle.
      content: what tells the element from others, where the origin may have several at the step.

    >>> origin = bytes.fromhex("4b318c6100000004001d3ce7345034f1")
    >>> run = "01955a30-5f80-7abc-8def-0123456789ab"
    >>> f"{span_id_of(origin, 'parse', run):016x}"
    'e0d2569d4aaeaee3'
    """
    return hashed(origin + behind_origin(run, step, index) + content)


def behind_origin(run: str, step: str, index: int = 0) -> bytes:
    """Returns what stands behind an origin in what the id of its span at a step is made of."""
    return index.to_bytes(8, "big") + _place_of_step(run, step)


def hashed(told: bytes) -> int:
    """Returns the id of a span by the bytes that it is made of."""
    digest = _copy_of_empty()  # half the price of a new one
    digest.update(told)
    return int.from_bytes(digest.digest(), "big") or 1


@functools.lru_cache(maxsize=1024)
def _place_of_step(run: str, step: str) -> bytes:
    return run.encode() + step.encode()


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


def below(span_id: int) -> bytes:
    """Returns what tells an element from others of its origin by the span before, which is of it alone or of
    what it was made of."""
    return b"\1" + span_id.to_bytes(8, "big")


def content_of(values: Sequence[Any]) -> bytes:
    """Returns what tells an element from others of its origin, empty where it may be another elsewhere.

    Args:
      values: the element, or its parts.

    >>> content_of(["a"]), content_of([object()])
    (b'\\x00a', b'')
    """
    try:
        content = b"\0" + b"\0".join(map(record_content, values))
    except Exception:  # a class of the user's may have no text
        return b""
    # That of an object without a text of its own is its place in memory.
    return b"" if b" at 0x" in content or len(content) > _LONGEST else content
