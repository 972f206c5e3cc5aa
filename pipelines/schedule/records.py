"""The records that flow through the pipeline: a page, what it lists, and a session of the schedule.

NamedTuples with Beam's `RowCoder`, so that a dead letter of one can be decoded without this code. Each
knows the page it is from and the line there, so that a dead letter says where to look.
"""

from typing import NamedTuple, TypeVar

from apache_beam import coders

Record = TypeVar("Record", bound=type)


def _with_row_coder(record: Record) -> Record:
    coders.registry.register_coder(record, coders.RowCoder)
    return record


@_with_row_coder
class Page(NamedTuple):
    """One page of the site.

    Args:
      name: name of its file.
      content: its bytes, as they were fetched.
    """

    name: str
    content: bytes


@_with_row_coder
class Listing(NamedTuple):
    """One session as a page lists it: the texts that were found, empty where nothing was.

    Args:
      page: name of the page.
      line: number of the line in the page, from 1, where the listing begins.
      day: ISO 8601.
      track: as the page calls it.
      title: of the session.
      speaker: or several, with commas.
      room: as the page calls it.
      start: local time, ``hh:mm``.
      end: local time, ``hh:mm``.
    """

    page: str
    line: int
    day: str
    track: str
    title: str
    speaker: str
    room: str
    start: str
    end: str


@_with_row_coder
class Session(NamedTuple):
    """One session of the schedule.

    Args:
      page: name of the page that lists it.
      line: number of the line in the page, from 1.
      day: ISO 8601.
      start: local time, ``hh:mm``.
      end: local time, ``hh:mm``.
      room: name of the room.
      track: name of the track.
      speaker: or several, with commas.
      title: of the session.
    """

    page: str
    line: int
    day: str
    start: str
    end: str
    room: str
    track: str
    speaker: str
    title: str
