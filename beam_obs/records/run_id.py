"""Ids of runs: UUIDv7 (RFC 9562, section 5.7), so that ids sort by the time they were made."""

from __future__ import annotations

import os
import time
import uuid

SHORT_ID = 13
"""So much of a run's id is its time in milliseconds: enough to tell runs apart, as a rule."""


def new_run_id() -> str:
    """Returns a new UUIDv7 in its usual text form.

    >>> first, second = new_run_id(), (time.sleep(0.002), new_run_id())[1]
    >>> first < second, len(first)
    (True, 36)
    """
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80 | random_bits
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
