"""One dead letter of a store, found by its id, and its record as a value."""

from __future__ import annotations

import base64
import contextlib
from typing import Any, NamedTuple

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.evidence import Standing
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import beginning_of

_CANDIDATES_SHOWN = 8


class LetterNotFound(BeamObsError):
    """There is no such dead letter, or more than one.

    Args:
      message: what was asked and what there is.
    """


class FoundLetter(NamedTuple):
    """A dead letter.

    Args:
      record: the run that refused it.
      letter: itself, with its place in its source where the run knows that.
      standing: whether it counts.
    """

    record: RunRecord
    letter: DeadLetter
    standing: Standing


def find_letter(store: Store, id: str) -> FoundLetter:
    """Returns a dead letter.

    Args:
      store: the store.
      id: of the letter, or the beginning of its run's id and, behind a dot, of its own part.

    Raises:
      RunNotFound: there is no such run.
      LetterNotFound: there is no such letter, or more than one.
    """
    run, _, own = beginning_of(id).partition(".")
    if not own:
        raise LetterNotFound(no_letter_id(id))
    record = store.find(run)
    found: list[FoundLetter] = []
    problems: list[str] = []
    for letter, standing in placed_letters(store, record, WantedLetters(own_id=own), problems):
        if letter.id.partition(".")[2] == own:
            return FoundLetter(record, letter, standing)
        found.append(FoundLetter(record, letter, standing))
    if len(found) == 1:
        return found[0]
    if found:
        listed = "".join(f"\n  {short_letter_id(one.letter.id)}" for one in found[:_CANDIDATES_SHOWN])
        raise LetterNotFound(f"{id!r} may be any of {len(found)} dead letters:{listed}")
    lost = f"; it may be among those that are lost: {'; '.join(problems)}" if problems else ""
    raise LetterNotFound(
        f"no dead letter {id!r} in run {record.id}: `beam-obs dead-letters list {run}` lists them{lost}"
    )


def no_letter_id(text: str) -> str:
    """Returns that a text is no id of a dead letter, and what is one."""
    return (
        f"{text!r} is no id of a dead letter, as RUN.PART: `beam-obs dead-letters list RUN --letters` "
        "tells them, and with --fingerprint HEX those of one kind"
    )


def short_letter_id(id: str) -> str:
    """Returns a dead letter's id with as much of the run's as tells runs apart."""
    run, _, own = id.partition(".")
    return f"{run[:SHORT_ID]}.{own}"


def refused_record(record: RunRecord, letter: DeadLetter, *, trust_pickles: bool = False) -> Any:
    """Returns the record that was refused, decoded by the coder that its run kept.

    It runs no code that whoever wrote the store chooses, unless pickles are trusted.

    Raises:
      MayRunCode: it cannot be decoded without.
      ValueError: it cannot be decoded; a coder may raise anything else, too.
    """
    if letter.payload_coder == "beam:coder:string_utf8:v1":  # the commonest, and Beam need not be waited for
        return letter.payload.decode("utf-8", "backslashreplace")
    portable = b""
    with contextlib.suppress(KeyError, ValueError):
        kept = record.start["coders"][letter.stage]
        if kept["coder"] == letter.payload_coder:
            portable = base64.b64decode(kept["portable"])
    from beam_obs.records.payload import decode_payload

    return decode_payload(letter.payload, letter.payload_coder, portable, trust_pickles=trust_pickles)
