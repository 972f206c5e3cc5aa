"""The two results of a step with an output for dead letters: what it gives, and its dead letters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from beam_obs.records.errors import UsageError

_TAKE_SEVERAL = (beam.Flatten, beam.CoGroupByKey)


class NotUnpacked(UsageError, AttributeError):
    """The two results of a step are used as if they were one PCollection."""


class WithDeadLetters(tuple[Any, Any]):
    """A pair of PCollections, to be unpacked: ``good, dead = ...``.

    Args:
      results: what the step gives, and its dead letters.
      label: of the step.
      made_at: where it was made, for the message.

    Raises:
      NotUnpacked: it is piped into a transform, made a side input or asked for what a PCollection has.
    """

    where: str

    def __new__(cls, results: Any, label: str | None = None, made_at: str = "") -> WithDeadLetters:
        pair = super().__new__(cls, results)
        # Beam makes one of two results alone where it copies what a composite is given.
        pair.where = "a step" if label is None else f"step {label!r} (made at {made_at})"
        return pair

    def __or__(self, transform: Any) -> Any:
        unlabelled = getattr(transform, "transform", transform)
        if isinstance(unlabelled, _TAKE_SEVERAL):
            return tuple(self) | transform
        raise self._not_unpacked()

    def __iter__(self) -> Iterator[Any]:
        # Beam takes what is no PCollection for values, where a transform takes several by name.
        if sys._getframe(1).f_globals.get("__name__") == beam.Create.__module__:
            raise self._not_unpacked()
        return super().__iter__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._not_unpacked()

    def __reduce__(self) -> Any:
        raise self._not_unpacked()

    def __repr__(self) -> str:
        # Beam's own messages show what they refuse.
        return f"the two results of {self._advice()}"

    def _not_unpacked(self) -> NotUnpacked:
        return NotUnpacked(f"two results are used as one PCollection: those of {self._advice()}")

    def _advice(self) -> str:
        return (
            f"{self.where}, which was made with_dead_letters(): write good, dead = ..., and go on with good"
        )
