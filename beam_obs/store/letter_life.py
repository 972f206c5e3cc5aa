"""The life of a dead letter: where it was refused first, its replays, and what became of it in them."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.evidence import Standing, dead_letters
from beam_obs.store.letter_states import MAX_ATTEMPTS, PARKED, REPLAYING, RESET, LetterState, LetterStates
from beam_obs.store.run_record import RunRecord, time_text
from beam_obs.store.store import RunNotFound, Store

_MOST = 100
_WORDS = {PARKED: "parked", RESET: "reset by a person"}


class LifeEvent(NamedTuple):
    """Something that happened to a dead letter, or to the record that it holds.

    Args:
      at: when.
      what: in words.
      run: the run that it happened in; None where it was in none.
      letter: id of the dead letter that came about; None where none did.
    """

    at: str
    what: str
    run: str | None = None
    letter: str | None = None


class LetterLife(NamedTuple):
    """What is known of a dead letter since it came about.

    Args:
      state: that it has now.
      events: that led there, in order, with those of the letters that came of its replays.
    """

    state: LetterState
    events: tuple[LifeEvent, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values."""
        return {"state": self.state.state, "life": [event._asdict() for event in self.events]}


def letter_life(
    store: Store, record: RunRecord, letter: DeadLetter, max_attempts: int = MAX_ATTEMPTS
) -> LetterLife:
    """Returns the life of a dead letter.

    Args:
      store: the store.
      record: the run that refused it.
      letter: itself.
      max_attempts: runs that may try a record before it is parked.
    """
    events: list[LifeEvent] = []
    state = LetterStates(store, record).state(letter, max_attempts)
    newest: DeadLetter | None = letter
    while newest is not None and len(events) < _MOST:
        refused, newest = newest, None
        again = "" if refused is letter else "again "
        what = f"refused {again}by {refused.stage}"
        events.append(LifeEvent(_moment(refused.failed_at), what, refused.run, refused.id))
        for mark in LetterStates(store, record).marks(refused):
            if mark.state != REPLAYING or mark.run is None:
                events.append(LifeEvent(mark.at, _WORDS.get(mark.state, "marked by nobody knows whom")))
                continue
            try:
                record = store.find(mark.run)
            except RunNotFound:
                events.append(
                    LifeEvent(mark.at, "replayed by a run that is not in the store any more", mark.run)
                )
                continue
            events.append(LifeEvent(mark.at, f"replayed by a run that is {record.status}", mark.run))
            newest = _refused_again(store, record, refused)
    return LetterLife(state, tuple(events))


def _refused_again(store: Store, record: RunRecord, letter: DeadLetter) -> DeadLetter | None:
    """Returns the dead letter that a replay made of the same record at the same stage."""
    found = dead_letters(store, record, WantedLetters(letter.stage))
    return next(
        (
            one
            for one, standing in found
            if standing is Standing.COMMITTED and one.root_id == letter.root_id and one.id != letter.id
        ),
        None,
    )


def _moment(micros: int) -> str:
    began = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return time_text(began + datetime.timedelta(microseconds=micros))
