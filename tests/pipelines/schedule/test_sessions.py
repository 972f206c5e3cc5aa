"""From a listing to a session."""

from __future__ import annotations

import pytest

from pipelines.schedule import sessions
from pipelines.schedule.records import Listing, Session

LISTING = Listing("a.html", 7, "2026-09-16", "Streams", "Late", "Ana", "Lagoon", "09:00", "09:30")


def broken_by(session: Session) -> list[str]:
    return [broken.assumption for one in sessions.ASSUMPTIONS for broken in one.breaks(session)]


def test_a_listing_becomes_a_session_that_can_be_believed() -> None:
    session = sessions.parse_listing(LISTING)
    assert session._asdict() == LISTING._asdict()
    assert broken_by(session) == []


@pytest.mark.parametrize("time", ["", "9:00", "09:00 ", "soon"])
@pytest.mark.parametrize("name", ["start", "end"])
def test_what_is_no_time_is_refused_with_its_place(name: str, time: str) -> None:
    with pytest.raises(sessions.NoTime, match=f"a.html:7: the {name} of 'Late' is {time!r}"):
        sessions.parse_listing(LISTING._replace(**{name: time}))


@pytest.mark.parametrize("day", ["", "Wednesday", "2026-09-31"])
def test_what_is_no_day_is_refused(day: str) -> None:
    with pytest.raises(sessions.NoDay, match=f"a.html:7: the day of 'Late' is {day!r}"):
        sessions.parse_listing(LISTING._replace(day=day))


@pytest.mark.parametrize(
    ("changed", "assumption"),
    [
        ({"title": ""}, "has a title"),
        ({"speaker": ""}, "has a speaker"),
        ({"room": "Attic"}, "room is known"),
        ({"start": "07:59"}, "starts within the day"),
        ({"end": "24:30"}, "ends within the day"),
        ({"end": "09:00"}, "ends after it starts"),
    ],
)
def test_each_assumption_is_broken_by_itself(changed: dict[str, str], assumption: str) -> None:
    session = sessions.parse_listing(LISTING)._replace(**changed)
    assert broken_by(session) == [assumption]
