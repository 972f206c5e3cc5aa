"""States of dead letters: marks that nobody can write twice, and what follows from them."""

from __future__ import annotations

import pathlib
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.store.letter_states import (
    NEW,
    PARKED,
    REPLAYED,
    REPLAYING,
    RESET,
    LetterState,
    LetterStates,
)
from beam_obs.store.store import Store
from tests.written_runs import ago, write_run

RUN = "01a22426-5160-755f-b548-2dd13aedc714"


def letter(attempt: int = 1) -> DeadLetter:
    values = dict.fromkeys(DeadLetter._fields, "")
    return DeadLetter(**{**values, "id": f"{RUN}.53fc.0", "run": RUN, "attempt": attempt})  # type: ignore[arg-type]


def states(store: str = ".beam_obs") -> LetterStates:
    return LetterStates(Store(store), "fares", RUN)


def test_of_two_who_want_a_letter_one_has_it() -> None:
    one, other = states(), states()
    assert one.state(letter()) == other.state(letter()) == LetterState(NEW, 1)
    replay = write_run(pathlib.Path(".beam_obs"), "fares", ago(), status="done")
    assert one.write(letter(), REPLAYING, replay)
    assert not other.write(letter(), REPLAYING, "another")
    assert states().state(letter()).state == REPLAYED


@pytest.mark.parametrize("content", [b"", b"[]", b'{"state": 7}', b"\xff"])
def test_a_mark_that_cannot_be_read_holds_the_letter(content: bytes) -> None:
    folder = pathlib.Path(f".beam_obs/dead_letters/fares/state/{RUN}")
    folder.mkdir(parents=True)
    (folder / "53fc.0.0001.json").write_bytes(content)
    assert states().state(letter()).state == REPLAYING
    assert states().write(letter(), RESET)
    assert states().state(letter()).state == NEW


def test_a_replay_that_is_gone_from_the_store_holds_the_letter() -> None:
    assert states().write(letter(), REPLAYING, "01a22426-0000-755f-b548-2dd13aedc714")
    assert states().state(letter()).state == REPLAYING
    assert "not in the store any more" in states().state(letter()).reason


def test_attempts_are_those_of_the_record_and_of_replays_that_came_to_nothing() -> None:
    assert states().state(letter(2)) == LetterState(NEW, 2)
    assert states().state(letter(3)).state == PARKED
    assert states().state(letter(3), max_attempts=4).state == NEW
    failed = write_run(pathlib.Path(".beam_obs"), "fares", ago(), status="failed")
    assert states().write(letter(2), REPLAYING, failed)
    assert states().state(letter(2)).state == PARKED
    assert states().write(letter(2), RESET)
    assert states().state(letter(2)) == LetterState(NEW, 1)


def test_a_letter_of_a_strange_id_is_marked_nowhere() -> None:
    strange = letter()._replace(id=f"{RUN}.../../../x")
    assert not states().write(strange, REPLAYING, "run")
    assert not pathlib.Path(".beam_obs").exists()


class Lives(RuleBasedStateMachine):
    """A letter that is replayed, parked and reset by several at once, who may have looked long ago."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.since_reset: list[str] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    def now(self) -> LetterState:
        return states(self.folder.name).state(letter(), max_attempts=3)

    @precondition(lambda self: self.now().state == NEW)
    @rule(ends=st.lists(st.sampled_from(["done", "failed", "cancelled"]), min_size=1, max_size=3))
    def replays_at_once(self, ends: list[str]) -> None:
        looked = [states(self.folder.name) for _ in ends]
        for one in looked:
            assert one.state(letter()).state == NEW
        won = []
        for one, end in zip(looked, ends, strict=True):
            run = write_run(pathlib.Path(self.folder.name), "fares", ago(), status=end)
            if one.write(letter(), REPLAYING, run):
                won.append(end)
        assert len(won) == 1
        self.since_reset += won

    @rule()
    def reset(self) -> None:
        if self.now().state in (PARKED, REPLAYED):
            assert states(self.folder.name).write(letter(), RESET)
            self.since_reset = []

    @precondition(lambda self: self.now().state == PARKED)
    @rule()
    def park(self) -> None:
        assert states(self.folder.name).write(letter(), PARKED)

    @invariant()
    def the_state_follows_from_how_replays_ended(self) -> None:
        found = self.now()
        if "done" in self.since_reset:
            assert (found.state, self.since_reset[-1]) == (REPLAYED, "done")
            assert self.since_reset.count("done") == 1
        else:
            assert found.attempts == 1 + len(self.since_reset)
            assert found.state == (PARKED if found.attempts >= 3 else NEW)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=30, stateful_step_count=10, deadline=None)
