"""What reads and writes have in common that keep dead letters: a home for them, or an output."""

from __future__ import annotations

import copy
from typing import Any

from apache_beam.pvalue import PCollection
from typing_extensions import Self

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.records.errors import UsageError
from beam_obs.records.made_at import made_at
from beam_obs.wrapper.role import Ours


class DeadLetterOutput(Ours):
    """A transform whose dead letters go to a home that was given, or to an output of their own.

    Args:
      dead_letters: a home for the dead letters.

    Raises:
      UsageError: it is none.
    """

    def __init__(self, dead_letters: DeadLetters | None) -> None:
        super().__init__()
        self._made_at = made_at(self)
        if dead_letters is not None and not isinstance(dead_letters, DeadLetters):
            raise UsageError(
                f"dead_letters={dead_letters!r}: give an obs.DeadLetters, e.g. obs.DeadLetters(folder), "
                "or use .with_dead_letters() for an output of your own"
            )
        self._dead_letters = dead_letters
        self._as_output = False

    def with_dead_letters(self) -> Self:
        """Returns this transform with two results: its own, and a PCollection of `DeadLetter`."""
        if self._dead_letters is not None:
            raise UsageError(
                f"{type(self).__name__} at {self._made_at} has dead_letters= and with_dead_letters(): "
                "give one of them"
            )
        result = copy.copy(self)
        result._as_output = True
        return result

    def _check_pcollection(self, pcoll: Any, label: str) -> None:
        """Raises a UsageError where the transform is applied to something else than a PCollection."""
        if not isinstance(pcoll, PCollection):
            raise UsageError(
                f"obs.{type(self).__name__} {label!r} (made at {self._made_at}) needs a PCollection of "
                f"records, got {pcoll!r}"
            )
