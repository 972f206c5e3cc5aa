"""From a listing to a session of the schedule, what is assumed of it, and its row of CSV."""

from __future__ import annotations

import csv
import datetime
import io
import operator
import re

import beam_obs as obs
from pipelines.schedule.records import Listing, Session

ROOMS = frozenset({"Aula Magna", "Lagoon", "Salle Émile", "Workshop A", "Workshop B", "Foyer"})
"""Rooms that the conference has."""

DOORS_OPEN, DOORS_CLOSE = "08:00", "23:59"

COLUMNS = ("day", "start", "end", "room", "track", "speaker", "title")

_TIME = re.compile(r"\d\d:\d\d")


class NoTime(ValueError):
    """The listing has no time, or something else in its place."""


class NoDay(ValueError):
    """The listing has no day, or something else in its place."""


def parse_listing(listing: Listing) -> Session:
    """Returns the session that a listing describes.

    Raises:
      NoTime: start or end is no time.
      NoDay: the day is no date.
    """
    for name in ("start", "end"):
        found = getattr(listing, name)
        if not _TIME.fullmatch(found):
            place = f"{listing.page}:{listing.line}"
            raise NoTime(f"{place}: the {name} of {listing.title!r} is {found!r}, expected hh:mm")
    try:
        datetime.date.fromisoformat(listing.day)
    except ValueError:
        place = f"{listing.page}:{listing.line}"
        raise NoDay(f"{place}: the day of {listing.title!r} is {listing.day!r}") from None
    return Session(
        page=listing.page,
        line=listing.line,
        day=listing.day,
        start=listing.start,
        end=listing.end,
        room=listing.room,
        track=listing.track,
        speaker=listing.speaker,
        title=listing.title,
    )


ASSUMPTIONS = (
    obs.holds("has a title", bool, "title"),
    obs.holds("has a speaker", bool, "speaker"),
    obs.one_of("room", ROOMS, name="room is known"),
    obs.between("start", DOORS_OPEN, DOORS_CLOSE, name="starts within the day"),
    obs.between("end", DOORS_OPEN, DOORS_CLOSE, name="ends within the day"),
    obs.holds("ends after it starts", operator.lt, "start", "end"),
    obs.unique("day", "start", "room", "title", name="listed once"),
)
"""What is assumed of a session, for `obs.Check`."""


def csv_line(session: Session) -> str:
    r"""Returns a session as a line of CSV with the columns of `COLUMNS`.

    >>> csv_line(Session("a.html", 7, "2026-09-16", "09:00", "09:20", "Lagoon", "Streams", "A, B", "Hi"))
    '2026-09-16,09:00,09:20,Lagoon,Streams,"A, B",Hi'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(getattr(session, column) for column in COLUMNS)
    return line.getvalue()
