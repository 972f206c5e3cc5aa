"""What is put on a log record: attributes whose names begin with ``beam_obs_``."""

from __future__ import annotations

import logging
from typing import NamedTuple

PREFIX = "beam_obs_"


class Told(NamedTuple):
    """What a log record says of the record of the data that it is about.

    Args:
      run: id of the run.
      step: full label of the step.
      origin: 32 hex digits; empty where the step is not woven.
      trace_id: 32 hex digits; empty where nothing is known.
      span_id: 16 hex digits; empty where the record is not traced.
      is_sampled: whether it is.
    """

    run: str
    step: str
    origin: str = ""
    trace_id: str = ""
    span_id: str = ""
    is_sampled: bool = False

    def put_on(self, record: logging.LogRecord) -> None:
        """Makes these attributes of a log record."""
        record.__dict__.update(zip(ATTRIBUTES, self, strict=True))


ATTRIBUTES = tuple(PREFIX + name for name in Told._fields)


def told_by(record: logging.LogRecord) -> Told | None:
    """Returns what was put on a log record, or None."""
    found = record.__dict__
    return Told(*(found[name] for name in ATTRIBUTES)) if ATTRIBUTES[0] in found else None
