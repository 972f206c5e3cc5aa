"""What every step with dead letters takes: a home for them or an output, and what stays out of them."""

from __future__ import annotations

import copy
from typing import Any

from apache_beam.transforms.error_handling import ErrorHandler
from typing_extensions import Self

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.records.errors import UsageError
from beam_obs.stages.with_dead_letters import WithDeadLetters
from beam_obs.wrapper.redaction import Redact, redaction_of


class KeepsDeadLetters:
    """A transform with the arguments `dead_letters` and `redact`, and with `with_dead_letters`.

    It says what it is called and where it was made, then takes the arguments by `_keep_dead_letters`.
    """

    _called: str
    _made_at: str
    _home: DeadLetters | ErrorHandler | None
    _redact: Redact | None
    _as_output = False

    def _keep_dead_letters(
        self, dead_letters: DeadLetters | ErrorHandler | None, redact: Redact | None
    ) -> None:
        """Takes the arguments.

        Raises:
          UsageError: one of them is wrong.
        """
        if dead_letters is not None and not isinstance(dead_letters, (DeadLetters, ErrorHandler)):
            raise UsageError(
                f"{self._called} at {self._made_at} got dead_letters={dead_letters!r}; give an "
                "obs.DeadLetters, e.g. obs.DeadLetters(folder), or an ErrorHandler of Beam's, or use "
                ".with_dead_letters() for an output of your own"
            )
        redaction_of(redact)
        self._home, self._redact = dead_letters, redact

    def with_dead_letters(self) -> Self:
        """Returns this transform with two results: what it gives without, and its dead letters.

        The dead letters are a PCollection of `DeadLetter` with the windows and timestamps of the
        records that were refused.

        Raises:
          UsageError: they have a home already, given as ``dead_letters=``.

        >>> import apache_beam as beam
        >>> import beam_obs as obs
        >>> with beam.Pipeline("DirectRunner") as p:
        ...     parse = obs.Stage(beam.Map(int)).with_dead_letters()
        ...     good, dead = p | beam.Create(["1", "x"]) | "parse" >> parse
        ...     _ = dead | beam.Map(lambda letter: print(letter.payload_text))
        x
        """
        if self._home is not None:
            raise UsageError(
                f"{self._called} at {self._made_at} has dead_letters= and with_dead_letters(): "
                "give one of them"
            )
        result = copy.copy(self)
        result._as_output = True
        return result

    def _with_letters(self, result: Any, letters: Any, step: str) -> Any:
        """Returns what is given where dead letters are an output: to the user, or to an error handler.

        Args:
          result: what is given without.
          letters: PCollection of `DeadLetter`.
          step: full label of this transform.
        """
        if isinstance(self._home, ErrorHandler):
            self._home.add_error_pcollection(letters)
            return result
        return WithDeadLetters((result, letters), step, self._made_at)
