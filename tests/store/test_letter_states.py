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
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from tests.written_runs import ago, write_run

RUN = "01a22426-5160-755f-b548-2dd13aedc714"


def letter() -> DeadLetter:
    values = dict.fromkeys(DeadLetter._fields, "")
    own = f"{RUN}.53fc.0"
    return DeadLetter(**{**values, "id": own, "root_id": own, "run": RUN})  # type: ignore[arg-type]


def states(store: str = ".beam_obs") -> LetterStates:
    return LetterStates(Store(store), RunRecord("fares", RUN, {}))


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


def test_attempts_are_the_runs_that_refused_a_record_and_replays_that_came_to_nothing() -> None:
    store = pathlib.Path(".beam_obs")
    first = write_run(store, "fares", ago())
    second = write_run(store, "fares", ago(), start={"parent_run": first})
    third = RunRecord("fares", RUN, {"parent_run": second})
    of_third = LetterStates(Store(), third)
    assert of_third.state(letter()) == LetterState(NEW, 1)
    assert of_third.state(letter()._replace(root_id=f"{second}.1")) == LetterState(NEW, 2)
    of_first = letter()._replace(root_id=f"{first}.1")
    assert of_third.state(of_first).state == PARKED
    assert of_third.state(of_first, max_attempts=4) == LetterState(NEW, 3)
    failed = write_run(store, "fares", ago(), status="failed")
    assert of_third.write(of_first, REPLAYING, failed)
    assert LetterStates(Store(), third).state(of_first, max_attempts=4).state == PARKED
    assert LetterStates(Store(), third).write(of_first, RESET)
    assert LetterStates(Store(), third).state(of_first) == LetterState(NEW, 1)


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
