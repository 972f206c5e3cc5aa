"""A length of time as people write it: a number and a unit."""

from __future__ import annotations

import re

from beam_obs.records.errors import UsageError

_DURATION = re.compile(r"([0-9]{1,9})\s*([smhdw])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def parse_duration(text: str) -> int:
    """Returns a duration in seconds.

    Raises:
      UsageError: it is not a number and a unit.

    >>> parse_duration("30d"), parse_duration("12h")
    (2592000, 43200)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"found {text!r}, expected a number and a unit: 30d, 12h, 2w (s, m, h, d or w)")
    return int(found[1]) * _UNIT_SECONDS[found[2]]


def duration_text(seconds: float) -> str:
    """Returns a duration as people write it, in the largest unit that leaves no rest.

    >>> duration_text(7_200), duration_text(90), duration_text(1.5)
    ('2h', '90s', '1.5s')
    >>> duration_text(0)
    '0s'
    """
    if not seconds:
        return "0s"
    whole = ((unit, length) for unit, length in reversed(_UNIT_SECONDS.items()) if seconds % length == 0)
    unit, length = next(whole, ("s", 1))
    return f"{seconds / length:g}{unit}"
