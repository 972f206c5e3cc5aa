"""A CombineFn under guard: what it refuses travels with the accumulator and leaves behind the Combine.

A CombineFn has no output of its own, so its result is paired with the refusals and a step behind it
takes them apart. An input that `add_input` refuses is left out, and is the dead letter, where the
accumulator cannot have been changed half way: where it is of a kind that Python does not let change.
Where it can (a list, a dict, an object of the user's), the error names the input and fails the bundle.
An accumulator that cannot be merged, compacted or extracted from is the dead letter as a whole, and its
key has no result.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_obs.metrics.tally import Counts, Tally
from beam_obs.records.payload import decode_payload, encode_payload, payload_text
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.exception_note import NOTE, put_note
from beam_obs.wrapper.failure import Failure, failure_of
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.refusal import DEAD_TAG, lineage_of, refuse_failure
from beam_obs.wrapper.untyped import Untyped

_UNCHANGING = (int, float, complex, str, bytes, bool, type(None), frozenset)
_INPUT = "input"
_ACCUMULATOR = "accumulator"


class _Refused(NamedTuple):
    what: str
    value: Any
    failure: Failure
    failed_at: int
    origin: bytes | None


class _Guarded(NamedTuple):
    """An accumulator: the user's, whether it still stands for a result, what was refused so far."""

    inner: Any
    whole: bool
    refused: tuple[_Refused, ...]
    inputs: int


class GuardedCombineFn(beam.CombineFn):
    """Does what `fn` does, and gives its result together with what it refused.

    Args:
      fn: the user's CombineFn.
      step: full label of the Combine.
      hides_values: whether values of records stay out of what is said of errors.
    """

    def __init__(self, fn: beam.CombineFn, step: str, hides_values: bool = False) -> None:
        self._fn = fn
        self._step = step
        self._hides_values = hides_values

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        return (self._fn,)

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Sets the user's CombineFn up."""
        self._fn.setup(*args, **kwargs)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        """Tears the user's CombineFn down."""
        self._fn.teardown(*args, **kwargs)

    def create_accumulator(self, *args: Any, **kwargs: Any) -> _Guarded:
        """Gives an accumulator with nothing in it."""
        return _Guarded(self._fn.create_accumulator(*args, **kwargs), True, (), 0)

    def add_input(self, accumulator: _Guarded, element: Any, *args: Any, **kwargs: Any) -> _Guarded:
        """Adds an input, or notes that it was refused."""
        inner, whole, refused, inputs = accumulator
        if not whole:
            return _Guarded(inner, False, (*refused, self._again(_INPUT, element, refused)), inputs + 1)
        try:
            return _Guarded(self._fn.add_input(inner, element, *args, **kwargs), True, refused, inputs + 1)
        except MemoryError:
            raise
        except Exception as error:
            if not _cannot_change(inner):
                put_note(error, self._why_not_left_out(element, inner))
                raise error
            return _Guarded(inner, True, (*refused, self._refusal(_INPUT, element, error)), inputs + 1)

    def is_refused(self, before: _Guarded, after: _Guarded) -> bool:
        """Whether the input that made one accumulator of another was refused: the weave asks, since the
        result is not made of it."""
        return len(after.refused) > len(before.refused)

    @staticmethod
    def inputs_in(output: Any) -> int:
        """Returns how many inputs an output stands for, the refused ones among them: the weave asks."""
        return int(output[-1])

    def add_inputs(
        self, accumulator: _Guarded, elements: Iterable[Any], *args: Any, **kwargs: Any
    ) -> _Guarded:
        """Adds inputs one by one, since one of them may be refused."""
        for element in elements:
            accumulator = self.add_input(accumulator, element, *args, **kwargs)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Guarded], *args: Any, **kwargs: Any) -> _Guarded:
        """Merges accumulators, or keeps them all as refused."""
        gathered = list(accumulators)
        refused = tuple(one for accumulator in gathered for one in accumulator.refused)
        inputs = sum(accumulator.inputs for accumulator in gathered)
        inners = [accumulator.inner for accumulator in gathered]
        if all(accumulator.whole for accumulator in gathered):
            # Merging may change the first of them: kept apart, in case it fails.
            kept = [None if _cannot_change(inner) else encode_payload(inner, None, "") for inner in inners]
            try:
                merged = self._fn.merge_accumulators(inners, *args, **kwargs)
                return _Guarded(merged, True, refused, inputs)
            except MemoryError:
                raise
            except Exception as error:
                before = [
                    decode_payload(*one, trust_pickles=True) if one and one[1] == "pickle" else inner
                    for one, inner in zip(kept, inners, strict=True)
                ]
                lost = [self._refusal(_ACCUMULATOR, inner, error) for inner in before]
                return _Guarded(None, False, (*refused, *lost), inputs)
        stranded = (accumulator.inner for accumulator in gathered if accumulator.whole)
        lost = [self._again(_ACCUMULATOR, inner, refused) for inner in stranded]
        return _Guarded(None, False, (*refused, *lost), inputs)

    def compact(self, accumulator: _Guarded, *args: Any, **kwargs: Any) -> _Guarded:
        """Compacts the user's accumulator, or keeps it as refused."""
        if not accumulator.whole:
            return accumulator
        try:
            return accumulator._replace(inner=self._fn.compact(accumulator.inner, *args, **kwargs))
        except MemoryError:
            raise
        except Exception as error:
            return self._lost(accumulator, error)

    def extract_output(self, accumulator: _Guarded, *args: Any, **kwargs: Any) -> Any:
        """Gives whether there is a result, the result, what was refused, and the number of inputs."""
        # A key of which every input was refused has no result, as a key that never came.
        refused_inputs = sum(one.what == _INPUT for one in accumulator.refused)
        if accumulator.whole and not 0 < accumulator.inputs == refused_inputs:
            try:
                value = self._fn.extract_output(accumulator.inner, *args, **kwargs)
                return True, value, accumulator.refused, accumulator.inputs
            except MemoryError:
                raise
            except Exception as error:
                accumulator = self._lost(accumulator, error)
        return False, None, accumulator.refused, accumulator.inputs

    def _why_not_left_out(self, element: Any, accumulator: Any) -> str:
        value = "an input" if self._hides_values else f"the input {payload_text(element)!r}"
        return (
            f"{NOTE}in step {self._step!r}, while adding {value}; it cannot be left out, since the "
            f"accumulator, a {type(accumulator).__qualname__}, may have been changed half way"
        )

    def _lost(self, accumulator: _Guarded, error: Exception) -> _Guarded:
        lost = self._refusal(_ACCUMULATOR, accumulator.inner, error)
        return _Guarded(None, False, (*accumulator.refused, lost), accumulator.inputs)

    def _refusal(self, what: str, value: Any, error: Exception) -> _Refused:
        return _Refused(what, value, failure_of(error, self._step), time.time_ns() // 1000, current_origin())

    def _again(self, what: str, value: Any, refused: tuple[_Refused, ...]) -> _Refused:
        """What arrives where there is no accumulator left is refused for the same reason."""
        return _Refused(what, value, refused[-1].failure, time.time_ns() // 1000, current_origin())


HOT, REST = "hot", "rest"
"""Halves of a Combine with hot-key fanout: hot keys with a number before them, and all keys with a mark of
whether the value is what the first half made."""


class SplitCombined(Untyped, beam.DoFn):
    """Takes results and refusals of a `GuardedCombineFn` apart.

    Args:
      settings: of the Combine.
      half: `HOT` or `REST`, of a Combine with hot-key fanout; None for a Combine that is whole.
    """

    refuses_others = True
    """For the weave: what is refused is not the element, and brings the origin that it had."""

    def __init__(self, settings: GuardSettings, half: str | None = None) -> None:
        self._settings = settings
        self._half = half

    def start_bundle(self) -> None:
        """Begins to count."""
        self._counts = Counts()
        self._tally = Tally(lambda: self._counts)

    def process(self, keyed: tuple[Any, Any]) -> Iterable[Any]:
        """Gives the pair of key and result, and the refusals of the key."""
        key, (whole, value, refused, inputs) = keyed
        settings, counts = self._settings, self._counts
        accumulators = 0
        for one in refused:
            of_input = one.what == _INPUT
            accumulators += not of_input
            pair, is_users = self._users_pair(key, one.value, of_input)
            coder, coder_name = (settings.coder, settings.coder_name) if is_users else (None, "")
            refusal = refuse_failure(pair, one.failure, coder, coder_name, settings.redaction)
            if one.origin is not None and lineage_of(pair[1]) is None:
                refusal = refusal._replace(origin=one.origin.hex())
            yield TaggedOutput(DEAD_TAG, refusal._replace(failed_at=one.failed_at))
        self._counts = Counts(
            counts.taken + inputs,
            counts.out + bool(whole),
            counts.dead + len(refused),
            counts.leftovers + accumulators,
            combined=counts.combined + inputs - (len(refused) - accumulators),
        )
        if whole:
            yield key, value

    def finish_bundle(self) -> None:
        """Reports the counts."""
        self._tally.flush()

    def _users_pair(self, key: Any, value: Any, of_input: bool) -> tuple[tuple[Any, Any], bool]:
        """Returns what was refused without what Beam puts to it for a fanout, and whether it is an input of
        the user's."""
        if self._half == HOT:
            return (key[1], value), of_input
        if self._half == REST and of_input:
            is_accumulator, value = value
            return (key, value), not is_accumulator
        return (key, value), of_input


def _cannot_change(accumulator: Any) -> bool:
    kind = type(accumulator)
    if kind is tuple:
        return all(_cannot_change(part) for part in accumulator)
    return kind in _UNCHANGING
