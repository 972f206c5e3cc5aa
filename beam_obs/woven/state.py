"""Lineage of stateful steps: a hidden bag of state beside the user's holds the origins of what went in.

What a step gives before it has read anything from its state comes from its element alone, also where it
looked and there was nothing; after that, from everything in the key's history, which is a superset. The
history ends when a call has cleared all of the user's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apache_beam.coders import BytesCoder
from apache_beam.transforms.core import DoFn
from apache_beam.transforms.userstate import BagStateSpec

from beam_obs.records.contributors import UNKNOWN, summarize
from beam_obs.wrapper.step_tally import StepTally
from beam_obs.wrapper.woven_step import State, WovenStep

HISTORY = "beam_obs_history"
HISTORY_SPEC = BagStateSpec(HISTORY, BytesCoder())
HISTORY_PARAM = DoFn.StateParam(HISTORY_SPEC)


class _Call:
    """What one call of the user's function did with the state."""

    def __init__(self, history: Any, provenance: bytes | None) -> None:
        self.history = history
        self.provenance = provenance
        self.has_read = False
        self.cleared: set[str] = set()
        self.written: set[str] = set()

    def of_history(self, limit: int | None) -> bytes:
        """Returns the provenance of what comes of all that the key has seen; a long history is summed up."""
        provenances = list(self.history.read())
        if limit is not None and len(provenances) > 2 * limit:
            provenances = [summarize(provenances, limit)]
            self.history.clear()
            self.history.add(provenances[0])
        return summarize([*provenances, *([self.provenance] if self.provenance is not None else [])], limit)

    def settle(self, states: frozenset[str]) -> None:
        """Brings the history up to date, after the last output."""
        if states and self.cleared >= states:
            self.history.clear()
        elif self.provenance and self.written - self.cleared:
            self.history.add(self.provenance)


class _WatchedState:
    """The user's state, watched."""

    def __init__(self, state: Any, name: str, call: _Call) -> None:
        self._state = state
        self._name = name
        self._call = call

    def read(self) -> Any:
        """Reads the state. Nothing comes of one that is empty, so that its history is not asked for."""
        found = self._state.read()
        if found is not None and not (type(found) is set and not found):
            self._call.has_read = True
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("read"):
            self._call.has_read = True
        elif name in ("add", "write", "clear_range"):
            self._call.written.add(self._name)
            self._call.cleared.discard(self._name)
        return getattr(self._state, name)

    def clear(self) -> None:
        """Clears the state."""
        self._call.cleared.add(self._name)
        self._call.written.discard(self._name)
        self._state.clear()


def remembers(dofn: Any) -> bool:
    """Returns whether records may be in a DoFn's state; one without says so by an attribute that is False."""
    return getattr(dofn, "remembers", True) is not False


def watched_state(
    step: WovenStep,
    limit: int | None,
    states: frozenset[str],
    history_at: int,
    states_at: dict[int, str],
    counts_given: bool = False,
) -> State:
    """Returns how the calls of a stateful step's function are watched.

    Args:
      step: of the function.
      limit: of contributors.
      states: names of all of the user's state.
      history_at: position of the hidden state among the arguments behind the element.
      states_at: position and name of the user's state among them; none where no record is in it.
      counts_given: whether what it gives is counted for the ledger here, and not behind it.
    """

    def watch(provenance: bytes, args: tuple[Any, ...]) -> tuple[_Call, list[Any]]:
        rest = list(args)
        call = _Call(rest[history_at], provenance)
        for at, name in states_at.items():
            rest[at] = _WatchedState(rest[at], name, call)
        del rest[history_at]
        return call, rest

    return State(watch, _giving(step, limit, states, step.tally if counts_given else None))


def stateful_timer(
    callback: Callable[..., Any],
    step: WovenStep,
    limit: int | None,
    states: frozenset[str],
    names: dict[str, str],
) -> Callable[..., Any]:
    """Returns a timer's callback.

    Args:
      callback: the user's.
      step: of the callback.
      limit: of contributors.
      states: names of all of the user's state.
      names: name of an argument -> name of the state in it.
    """

    outputs = _giving(step, limit, states)

    def woven_process(**kwargs: Any) -> Iterable[Any]:
        call = _Call(kwargs.pop(HISTORY), None)
        call.has_read = True
        for argument, name in names.items():
            if argument in kwargs:
                kwargs[argument] = _WatchedState(kwargs[argument], name, call)
        return outputs(callback(**kwargs), call)

    return woven_process


def _giving(
    step: WovenStep, limit: int | None, states: frozenset[str], tally: StepTally | None = None
) -> Callable[[Any, _Call], Iterator[Any]]:
    """Returns what gives the results of a call with their provenances."""
    pack, note = step.pack, step.note

    def woven_results(results: Any, call: _Call) -> Iterator[Any]:
        provenance = call.provenance or UNKNOWN
        of_history: bytes | None = None
        is_nothing = True
        try:
            for result in results if results is not None else ():
                is_nothing = False
                own = call.provenance if not call.has_read else of_history
                if own is None:
                    own = of_history = call.of_history(limit)
                if tally is not None:
                    tally.gave(own)
                yield pack(own, result)
        except Exception as error:
            note(error, provenance)
            raise error
        if is_nothing and tally is not None:
            tally.missed(provenance)
        call.settle(states)

    return woven_results
