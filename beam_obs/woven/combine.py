"""The CombineFn of a woven aggregate: the user's does the work, contributors are gathered beside it.

An accumulator is ``[provenances, inner]`` while it grows and ``(summary, inner)`` when it travels. What comes
out is ``(summary, output)``; the step behind it knows key, window and pane and makes the origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apache_beam.internal import pickler
from apache_beam.transforms.core import CombineFn

from beam_obs.records.contributors import summarize

_GROWN = 4096
"""Provenances in an accumulator before they are summed up."""


class WovenCombineFn(CombineFn):
    """Combines woven values.

    Args:
      payload: the user's CombineFn, pickled.
      limit: of contributors; None for all.
      takes_arguments: whether its methods may be given more than accumulator and element.
    """

    def __init__(self, payload: bytes, limit: int | None, takes_arguments: bool = True) -> None:
        self._payload = payload
        self._limit = limit
        self._takes_arguments = takes_arguments
        self._inner = pickler.loads(payload)
        self._add = self._inner.add_input
        self._create = self._inner.create_accumulator
        self._is_refused = getattr(self._inner, "is_refused", None)
        if self._is_refused is not None:
            self.add_input = _adder_of_some(self._add, self._is_refused, limit)  # type: ignore[method-assign]
        elif not takes_arguments:
            self.add_input = _adder(self._add, limit)  # type: ignore[assignment, method-assign, unused-ignore]

    def __reduce__(self) -> Any:
        return (WovenCombineFn, (self._payload, self._limit, self._takes_arguments))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def setup(self, *args: Any, **kwargs: Any) -> None:
        self._inner.setup(*args, **kwargs)

    def teardown(self, *args: Any, **kwargs: Any) -> None:
        self._inner.teardown(*args, **kwargs)

    def create_accumulator(self, *args: Any, **kwargs: Any) -> Any:
        return [[], self._create(*args, **kwargs)]

    def add_input(self, accumulator: Any, element: Any, *args: Any, **kwargs: Any) -> Any:
        if type(accumulator) is not list:
            accumulator = [_provenances(accumulator[0]), accumulator[1]]
        provenances = accumulator[0]
        provenances.append(element[0])
        accumulator[1] = self._add(accumulator[1], element[1], *args, **kwargs)
        if len(provenances) > _GROWN:
            accumulator[0] = [summarize(provenances, self._limit)]
        return accumulator

    def add_inputs(self, accumulator: Any, elements: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        if self._is_refused is not None:
            for element in elements:
                accumulator = self.add_input(accumulator, element, *args, **kwargs)
            return accumulator
        held = list(elements)
        provenances = [*_provenances(accumulator[0]), *(provenance for provenance, _ in held)]
        inner = self._inner.add_inputs(accumulator[1], [value for _, value in held], *args, **kwargs)
        return [provenances, inner]

    def merge_accumulators(self, accumulators: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        provenances: list[bytes] = []
        inner: list[Any] = []
        for accumulator in accumulators:
            provenances.extend(_provenances(accumulator[0]))
            inner.append(accumulator[1])
            if len(provenances) > _GROWN:
                provenances = [summarize(provenances, self._limit)]
        return (summarize(provenances, self._limit), self._inner.merge_accumulators(inner, *args, **kwargs))

    def compact(self, accumulator: Any, *args: Any, **kwargs: Any) -> Any:
        inner = self._inner.compact(accumulator[1], *args, **kwargs)
        return (summarize(_provenances(accumulator[0]), self._limit), inner)

    def extract_output(self, accumulator: Any, *args: Any, **kwargs: Any) -> Any:
        output = self._inner.extract_output(accumulator[1], *args, **kwargs)
        return (summarize(_provenances(accumulator[0]), self._limit), output)

    def apply(self, elements: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        if self._is_refused is not None:
            accumulator = self.create_accumulator(*args, **kwargs)
            accumulator = self.add_inputs(accumulator, elements, *args, **kwargs)
            return self.extract_output(accumulator, *args, **kwargs)
        held = list(elements)
        output = self._inner.apply([value for _, value in held], *args, **kwargs)
        return (summarize((provenance for provenance, _ in held), self._limit), output)

    def default_label(self) -> str:
        return str(self._inner.default_label())


def _adder(add: Callable[[Any, Any], Any], limit: int | None) -> Callable[[Any, Any], Any]:
    """Returns `add_input` without the arguments that few have: to pass them on costs as much as the rest."""

    def add_input(accumulator: Any, element: Any) -> Any:
        if accumulator.__class__ is not list:
            accumulator = [_provenances(accumulator[0]), accumulator[1]]
        provenance, value = element
        provenances, inner = accumulator
        accumulator[1] = add(inner, value)
        provenances.append(provenance)
        if len(provenances) > _GROWN:
            accumulator[0] = [summarize(provenances, limit)]
        return accumulator

    return add_input


def _adder_of_some(
    add: Callable[..., Any], is_refused: Callable[[Any, Any], bool], limit: int | None
) -> Callable[..., Any]:
    """Returns `add_input` of a CombineFn that tells which inputs its result is not made of."""

    def woven_process(accumulator: Any, element: Any, *args: Any, **kwargs: Any) -> Any:
        provenance, value = element
        provenances, before = _provenances(accumulator[0]), accumulator[1]
        after = add(before, value, *args, **kwargs)
        if not is_refused(before, after):
            provenances.append(provenance)
        return [[summarize(provenances, limit)] if len(provenances) > _GROWN else provenances, after]

    return woven_process


def _provenances(held: Any) -> list[bytes]:
    return [held] if isinstance(held, bytes) else held
