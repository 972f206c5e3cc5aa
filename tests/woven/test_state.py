"""Lineage of a step with state costs in proportion to its elements, however long a key's history is."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms import userstate

from beam_obs.records.contributors import gather
from beam_obs.records.origin import Partition
from beam_obs.woven.state import watched_state
from beam_obs.wrapper.element_forms import KEYED, WOVEN, packer
from beam_obs.wrapper.user_callable import DO_FN, UserCallable
from beam_obs.wrapper.woven_step import WovenStep, one_to_one
from tests.weaving.provenance import made, read_derivations, run_woven

SOURCE = Partition("a.csv", "1")
LIMIT = 32


class Held:
    """State of a bag, in a list; counts what is read of it."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self.reads = 0

    def read(self) -> Iterable[Any]:
        self.reads += len(self._values)
        return list(self._values)

    def add(self, value: Any) -> None:
        self._values.append(value)

    def clear(self) -> None:
        self._values.clear()


class AllAtTheEnd(beam.DoFn):
    """Gives all that a key has seen when its window ends."""

    SEEN = userstate.BagStateSpec("seen", beam.coders.VarIntCoder())
    END = userstate.TimerSpec("end", userstate.TimeDomain.WATERMARK)

    def process(
        self,
        pair: tuple[str, int],
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
        window: Any = beam.DoFn.WindowParam,
    ) -> None:
        seen.add(pair[1])
        end.set(window.max_timestamp())

    @userstate.on_timer(END)
    def at_the_end(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> Any:  # noqa: B008
        yield from sorted(seen.read())


@pytest.mark.slow
def test_a_long_history_is_kept_summed_up() -> None:
    history, seen = Held(), Held()

    def running(pair: tuple[str, int], state: Any) -> Any:
        state.add(1)
        yield pair[0], len(list(state.read()))

    step = WovenStep("count", KEYED, WOVEN, packer(WOVEN, {}, None))
    state = watched_state(step, LIMIT, frozenset({"seen"}), 0, {1: "seen"})
    process = one_to_one(UserCallable(DO_FN, running), step, True, state)
    outputs = [
        output for at in range(2000) for output in process(("k", (SOURCE.origin(at), at)), history, seen)
    ]

    assert history.reads < 2000 * (2 * LIMIT + 2)
    for taken, (provenance, _) in enumerate(outputs, 1):
        found, expected = gather([provenance], LIMIT), gather(map(SOURCE.origin, range(taken)), LIMIT)
        assert (found.count, found.origins) == (expected.count, expected.origins)


class HeldOnce:
    """State of one value."""

    def __init__(self) -> None:
        self._value: Any = None

    def read(self) -> Any:
        return self._value

    def write(self, value: Any) -> None:
        self._value = value


def test_what_looks_at_an_empty_state_comes_of_its_element_alone() -> None:
    history, before = Held(), HeldOnce()

    def with_the_one_before(pair: tuple[str, int], state: Any) -> Any:
        yield state.read(), pair[1]
        state.write(pair[1])

    step = WovenStep("pairs", KEYED, WOVEN, packer(WOVEN, {}, None))
    state = watched_state(step, LIMIT, frozenset({"before"}), 0, {1: "before"})
    process = one_to_one(UserCallable(DO_FN, with_the_one_before), step, True, state)

    ((first, _),) = process(("k", (SOURCE.origin(0), 0)), history, before)
    assert (first, history.reads) == (SOURCE.origin(0), 0)
    ((second, _),) = process(("k", (SOURCE.origin(1), 1)), history, before)
    assert set(gather([second], LIMIT).origins) == {SOURCE.origin(0), SOURCE.origin(1)}


class FirstOnly(beam.DoFn):
    """Gives the first of each key; that there was one is all it keeps."""

    SEEN = userstate.ReadModifyWriteStateSpec("seen", beam.coders.BooleanCoder())
    remembers = False

    def process(self, pair: tuple[str, int], seen: Any = beam.DoFn.StateParam(SEEN)) -> Any:  # noqa: B008
        if not seen.read():
            yield pair[1]
        elif pair[1] % 2:
            yield -pair[1]
        seen.write(True)


def test_what_a_dofn_gives_that_remembers_no_record_comes_of_its_element_alone(
    tmp_path: pathlib.Path,
) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create(range(6), reshuffle=False)
            | "key" >> beam.Map(lambda number: ("k", number))
            | "first" >> beam.ParDo(FirstOnly())
        ),
        str(tmp_path),
    )

    assert {value: ran.sources_of(origin) for value, origin in ran.outputs} == {
        value: {made("make", abs(value))} for value in (0, -1, -3, -5)
    }
    assert not list(read_derivations(str(tmp_path), [Partition("make", "")]))


def test_all_that_one_call_gives_has_one_row(tmp_path: pathlib.Path) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create(range(100), reshuffle=False)
            | "key" >> beam.Map(lambda number: ("k", number))
            | "all" >> beam.ParDo(AllAtTheEnd())
        ),
        str(tmp_path),
    )

    assert sorted(value for value, _ in ran.outputs) == list(range(100))
    (origin,) = {origin for _, origin in ran.outputs}
    assert ran.sources_of(origin) == {made("make", at) for at in range(100)}
    assert len(list(read_derivations(str(tmp_path), [Partition("make", "")]))) == 1
