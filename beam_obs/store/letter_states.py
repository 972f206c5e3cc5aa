"""What became of dead letters since they were refused: marks in the store, small objects each written once.

    <store>/dead_letters/<pipeline>/state/<run of the letter>/<its own part>.<number>.json

The marks of a letter are numbered from 1, and no two writers can write the same number: of several replays
that want a letter, the one that writes its mark has it. Nothing is ever changed; the state follows from the
marks, and from how the runs that they name have ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.store.form import Maybe, Needed, Time, fit, parse_object
from beam_obs.store.parent_runs import parents_of
from beam_obs.store.run_record import RunRecord, now_text
from beam_obs.store.run_record_forms import BEGAN
from beam_obs.store.store import RunNotFound, Store

NEW, REPLAYING, REPLAYED, PARKED = "new", "replaying", "replayed", "parked"
RESET = "reset"
"""A mark of a person: what was before counts no more."""

MAX_ATTEMPTS = 3
"""Attempts after which a letter is parked, where nobody says another number."""

_GONE = "not in the store any more"
NO_SUCCESS = ("failed", "cancelled", "lost")
"""Statuses of replays whose letters may be replayed again."""

_OWN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")
_FILE = re.compile(r"(.+)\.(\d{1,6})\.json")
_FORM = {"state": str, "run": Maybe(str), "at": Needed(Time(), BEGAN)}


@dataclasses.dataclass(frozen=True)
class Mark:
    """One mark of a letter.

    Args:
      number: from 1.
      state: replaying, parked or reset.
      run: the run that replays it; None where it is no replay.
      at: when it was written.
    """

    number: int
    state: str
    run: str | None
    at: str


@dataclasses.dataclass(frozen=True)
class LetterState:
    """The state of a letter.

    Args:
      state: new, replaying, replayed or parked.
      attempts: how many runs have given the record to its stage since it came into being, or was reset.
      reason: why it is not new, or that a replay of it came to nothing; empty where there was none.
    """

    state: str
    attempts: int
    reason: str = ""


class LetterStates:
    """The states of the letters of one run.

    Args:
      store: the store.
      record: the run.
    """

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store = store
        self._record = record
        self._folder = f"dead_letters/{record.pipeline}/state/{record.id}"
        self._marks: dict[str, list[Mark]] | None = None
        self._statuses: dict[str, str] = {}

    def marks(self, letter: DeadLetter) -> Sequence[Mark]:
        """Returns the marks of a letter, by number, as they were when the first letter was asked for."""
        if self._marks is None:
            self._marks = self._read()
        return self._marks.get(own_part(letter), ())

    def _read(self) -> dict[str, list[Mark]]:
        files = self._store.files
        names = [(name, found) for name in files.names(self._folder) if (found := _FILE.fullmatch(name))]
        contents = files.look([f"{self._folder}/{name}" for name, _ in names])
        marks: dict[str, list[Mark]] = {}
        for (_, found), content in zip(names, contents, strict=True):
            told: dict[str, Any] = {"state": REPLAYING, "run": None, "at": BEGAN}
            with contextlib.suppress(ValueError, KeyError):  # unreadable: somebody has the letter, not who
                told = fit(parse_object(content.content or b""), _FORM, "", [])
            mark = Mark(int(found[2]), str(told["state"]), told.get("run"), str(told["at"]))
            marks.setdefault(found[1], []).append(mark)
        for of_letter in marks.values():
            of_letter.sort(key=lambda mark: mark.number)
        return marks

    def state(self, letter: DeadLetter, max_attempts: int = MAX_ATTEMPTS) -> LetterState:
        """Returns the state of a letter.

        Args:
          letter: of the run.
          max_attempts: after so many it is parked.
        """
        attempts, held, reason = self._runs_so_far(letter), "", ""
        for mark in self.marks(letter):
            if mark.state == RESET:
                attempts, held, reason = 1, "", ""
            elif not held and mark.state == PARKED:
                held, reason = PARKED, f"parked at {mark.at}"
            elif not held:
                status = self._status(mark.run)
                reason = f"its replay, run {mark.run}, is {status}"
                if status in NO_SUCCESS:
                    attempts += 1
                else:
                    held = REPLAYED if status == "done" else REPLAYING
        if not held and attempts >= max_attempts:
            held, reason = PARKED, f"{attempts} runs have tried it, of {max_attempts}"
        return LetterState(held or NEW, attempts, reason)

    def _runs_so_far(self, letter: DeadLetter) -> int:
        """Returns how many runs have refused the record: its own, and those that it was replayed from."""
        first = letter.root_id.partition(".")[0]
        return 1 + (self._runs.index(first) if first in self._runs else len(self._runs) - 1)

    @functools.cached_property
    def _runs(self) -> list[str]:
        runs = [self._record.id]
        with contextlib.suppress(RunNotFound):
            runs.extend(one.id for one in parents_of(self._store, self._record))
        return runs

    def is_under_way(self, letter: DeadLetter) -> bool:
        """Returns whether a replay of a letter goes on."""
        runs = [mark.run for mark in self.marks(letter)][-1:]
        return any(self._status(run) in ("running", "submitted") for run in runs)

    def _status(self, run: str | None) -> str:
        if run is None:
            return _GONE
        if run not in self._statuses:
            try:
                self._statuses[run] = self._store.find(run).status
            except RunNotFound:
                self._statuses[run] = _GONE
        return self._statuses[run]

    def write(self, letter: DeadLetter, state: str, run: str | None = None) -> bool:
        """Writes the next mark of a letter; returns False where another did.

        Args:
          letter: of the run.
          state: what the mark says.
          run: that replays the letter.
        """
        own = own_part(letter)
        if _OWN.fullmatch(own) is None:
            return False
        number = max((mark.number for mark in self.marks(letter)), default=0) + 1
        content = json.dumps({"letter": letter.id, "state": state, "run": run, "at": now_text()}).encode()
        return self._store.files.write_new(f"{self._folder}/{own}.{number:04d}.json", content)


def own_part(letter: DeadLetter) -> str:
    """Returns what a letter's id has behind that of its run."""
    return letter.id.partition(".")[2]
