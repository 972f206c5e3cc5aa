"""The two results of a step with an output for dead letters: what it gives, and its dead letters."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from beam_obs.records.errors import UsageError

_TAKE_SEVERAL = (beam.Flatten, beam.CoGroupByKey)


class WithDeadLetters(tuple[Any, Any]):
    """A pair of PCollections, to be unpacked: ``good, dead = ...``.

    Args:
      results: what the step gives, and its dead letters.
      label: of the step.
      made_at: where it was made, for the message.

    Raises:
      UsageError: it is piped into a transform as if it were one PCollection.
    """

    where: str

    def __new__(cls, results: tuple[Any, Any], label: str, made_at: str) -> WithDeadLetters:
        pair = super().__new__(cls, results)
        pair.where = f"{label!r} (made at {made_at})"
        return pair

    def __or__(self, transform: Any) -> Any:
        unlabelled = getattr(transform, "transform", transform)
        if isinstance(unlabelled, _TAKE_SEVERAL):
            return tuple(self) | transform
        raise UsageError(
            f"step {self.where} gives two results, since it was made with_dead_letters(): "
            "write good, dead = ..., and go on with good"
        )
