"""Which records are traced: decided by an origin's own low 56 bits, so that everybody decides alike.

An origin is a trace id whose low 56 bits are uniform, as W3C Trace Context (level 2) asks of a random
trace id. OpenTelemetry's consistent probability sampling takes a trace whose bits are at least a threshold,

    T = round((1 - share) * 2^56)

and tells the threshold in ``tracestate`` as ``ot=th:``: up to 14 hex digits, without zeros at their end.
"""

from __future__ import annotations

import re

from beam_obs.records.origin import RANDOM_BITS, randomness

NEVER = 1 << RANDOM_BITS
"""The threshold of a share of 0, which no bits reach."""

_DIGITS = RANDOM_BITS // 4
_BYTES = RANDOM_BITS // 8
_THRESHOLD = re.compile(r"[0-9a-f]{1,14}")


def threshold_of(share: float) -> int:
    """Returns the threshold at which a share of all records is sampled, 0 to `NEVER`.

    Args:
      share: 0 to 1.

    >>> threshold_of(1.0), threshold_of(0.5) == 2**55, threshold_of(0.0) == NEVER
    (0, True, True)
    """
    return min(NEVER, max(0, round((1.0 - share) * NEVER)))


def share_of(threshold: int) -> float:
    """Returns the share of all records that a threshold takes.

    >>> share_of(threshold_of(0.25))
    0.25
    """
    return 1.0 - threshold / NEVER


def least_sampled(threshold: int) -> bytes | None:
    """Returns the least that the last 7 bytes of a sampled origin are; None where none is sampled.

    >>> least_sampled(threshold_of(0.5)).hex(), least_sampled(NEVER)
    ('80000000000000', None)
    """
    return None if threshold >= NEVER else threshold.to_bytes(_BYTES, "big")


def is_sampled(origin: bytes, threshold: int) -> bool:
    """Returns whether the record of an origin is traced.

    >>> is_sampled(bytes(15) + b"\\1", 0), is_sampled(bytes(15) + b"\\1", 2)
    (True, False)
    """
    return randomness(origin) >= threshold


def tracestate_of(threshold: int) -> str:
    """Returns the value of ``ot`` in a ``tracestate`` for what was sampled by a threshold; empty for `NEVER`.

    >>> tracestate_of(threshold_of(0.25)), tracestate_of(0), tracestate_of(NEVER)
    ('th:c', 'th:0', '')
    """
    if threshold >= NEVER:
        return ""
    return f"th:{threshold:0{_DIGITS}x}".rstrip("0") if threshold else "th:0"


def threshold_in(ot: str) -> int | None:
    """Returns the threshold that the value of ``ot`` in a ``tracestate`` tells; None where it tells none.

    >>> threshold_in("rv:6e6d1a75832a2f;th:c") == threshold_of(0.25), threshold_in("th:xyz")
    (True, None)
    """
    for part in ot.split(";"):
        name, _, value = part.partition(":")
        if name == "th" and _THRESHOLD.fullmatch(value):
            return int(value.ljust(_DIGITS, "0"), 16)
    return None
