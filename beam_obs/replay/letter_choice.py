"""Which dead letters of a run are replayed, and why the others are not."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from beam_obs.metrics.names import is_within
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.evidence import Standing
from beam_obs.store.letter_states import MAX_ATTEMPTS, NEW, NO_SUCCESS, PARKED, LetterStates
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store

_WITHOUT_RECORD = {
    "none": "they hold no record",
    "repr": "no coder could encode their records: only how Python prints them was kept",
    "pickle": "the coder of their stage could not encode their records: they are pickles, which may run code",
}


@dataclasses.dataclass(frozen=True)
class AskedReplay:
    """Which letters of a run a person asks for.

    Args:
      stage: label of their stage, or of what it is in; None for all.
      fingerprint: its beginning, in small letters; empty for all.
      error_type: name of the class of their error, with or without its module; None for all.
      text: what their records have in them; empty for all.
      limit: at most so many; None for all.
      max_attempts: letters that were tried so often are parked.
      may_replace: whether files may be written over that the run wrote.
      trust_pickles: whether letters may be decoded by a coder that can run code.
    """

    stage: str | None = None
    fingerprint: str = ""
    error_type: str | None = None
    text: str = ""
    limit: int | None = None
    max_attempts: int = MAX_ATTEMPTS
    may_replace: bool = False
    trust_pickles: bool = False


@dataclasses.dataclass
class ChosenLetters:
    """The letters of a run that can be replayed, as far as the store tells.

    Args:
      record: the run.
      letters: those that can.
      left: why others are not, each with how many.
      parked: those of them that were tried too often.
      problems: what of the store is missing or damaged.
    """

    record: RunRecord
    letters: list[DeadLetter]
    left: collections.Counter[str]
    parked: list[DeadLetter]
    problems: list[str]

    def leave(self, stage: str, reason: str) -> None:
        """Takes out the letters of a stage."""
        rest = [letter for letter in self.letters if letter.stage != stage]
        self.left[reason] += len(self.letters) - len(rest)
        self.letters = rest

    @property
    def by_stage(self) -> Mapping[str, int]:
        """How many are of each stage."""
        return dict(sorted(collections.Counter(letter.stage for letter in self.letters).items()))


def choose_letters(
    store: Store, record: RunRecord, asked: AskedReplay, states: LetterStates
) -> ChosenLetters:
    """Returns the letters of a run that are asked for.

    Args:
      store: the store.
      record: the run.
      asked: which.
      states: of the run's letters.

    Raises:
      BeamObsError: the run goes on, or was a replay that came to nothing.
    """
    if record.status in ("running", "submitted"):
        raise BeamObsError(
            f"run {record.id} is {record.status}: what it refuses is replayed when it has ended"
        )
    parent = record.start.get("parent_run")
    took_letters = not (record.start.get("replay") or {}).get("records")
    if parent and took_letters and record.status in NO_SUCCESS:
        raise BeamObsError(
            f"run {record.id} was a replay and is {record.status}: the dead letters that it took are new "
            f"again, and what it refused is among them. Replay those of run {parent}"
        )
    chosen = ChosenLetters(record, [], collections.Counter(), [], [])
    wanted = WantedLetters(None, asked.fingerprint, text=asked.text)
    for letter, standing in placed_letters(store, record, wanted, chosen.problems):
        if not _is_asked(letter, asked):
            continue
        reason = _obstacle(letter, standing)
        if not reason:
            found = states.state(letter, asked.max_attempts)
            if found.state == PARKED:
                chosen.parked.append(letter)
            if found.state != NEW:
                reason = f"{found.state}: {found.reason}"
        if reason:
            chosen.left[reason] += 1
        else:
            chosen.letters.append(letter)
    return chosen


def limited(letters: Sequence[DeadLetter], limit: int | None) -> list[DeadLetter]:
    """Returns at most so many letters, those that were refused first."""
    if limit is None or len(letters) <= limit:
        return list(letters)
    return sorted(letters, key=lambda letter: (letter.failed_at, letter.id))[:limit]


def left_text(left: Mapping[str, int]) -> list[str]:
    """Returns why letters are not replayed, each reason a sentence with how many there are of it."""
    return [f"{counted(count, 'letter')} not replayed: {reason}" for reason, count in left.items() if count]


def _is_asked(letter: DeadLetter, asked: AskedReplay) -> bool:
    types = (letter.error_type, letter.error_type.rpartition(".")[2])
    return (asked.stage is None or is_within(letter.stage, asked.stage)) and (
        asked.error_type is None or asked.error_type in types
    )


def _obstacle(letter: DeadLetter, standing: Standing) -> str:
    """Returns why a letter cannot be replayed, whatever the program; nothing where it can."""
    if standing is not Standing.COMMITTED:
        return f"{standing.value}: another attempt at their bundles has the records"
    if letter.redacted:
        return "redacted: they hold not the whole record"
    return _WITHOUT_RECORD.get(letter.payload_coder, "")
