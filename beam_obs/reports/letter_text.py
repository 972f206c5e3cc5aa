"""What is said of one dead letter: whether it counts, when and where; the same by commands and on pages."""

from __future__ import annotations

import datetime

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wording import clean
from beam_obs.reports.lineage_words import shown_uri
from beam_obs.store.evidence import Standing

_STANDING = {
    Standing.COMMITTED: "yes",
    Standing.UNCOMMITTED: (
        "no: its bundle failed or was tried again, or the run ended before it could be committed"
    ),
    Standing.SUPERSEDED: "superseded: the engine started the job again, and what it refused then counts",
}


def standing_text(standing: Standing) -> str:
    """Returns whether a dead letter is committed, with the reason where it is not."""
    return _STANDING[standing]


def place_text(letter: DeadLetter) -> str:
    """Returns where in its source a refused record lies; nothing where that is not known."""
    at = f" at {letter.position:,}" if letter.position is not None else ""
    return f"{clean(shown_uri(letter.source_uri))}{at}" if letter.source_uri else ""


def time_text(microseconds: int) -> str:
    """Returns a time of a dead letter, also one that no calendar has.

    >>> time_text(1_767_323_045_000_000), time_text(-(1 << 62))
    ('2026-01-02T03:04:05Z', 'none')
    """
    try:
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        moment = epoch + datetime.timedelta(microseconds=microseconds)
    except OverflowError:
        return "none" if microseconds < 0 else "end of time"
    return moment.isoformat().replace("+00:00", "Z")
