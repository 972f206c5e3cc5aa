"""What every step with dead letters takes: a home for them or an output, and what stays out of them."""

from __future__ import annotations

import copy
from typing import Any

from apache_beam.pvalue import PBegin
from apache_beam.transforms.error_handling import ErrorHandler
from typing_extensions import Self

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.windowed_dead_rate import DEFAULT_MINIMUM, JudgeDeadRate
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_number
from beam_obs.records.run_context import Observation
from beam_obs.stages.with_dead_letters import WithDeadLetters
from beam_obs.wrapper.redaction import Redact, redaction_of


class KeepsDeadLetters:
    """A transform with the arguments `dead_letters`, `redact`, `max_dead_rate` and `max_dead_minimum`, and
    with `with_dead_letters`.

    It says what it is called and where it was made, then takes the arguments by `_keep_dead_letters`.
    """

    _called: str
    _made_at: str
    _home: DeadLetters | ErrorHandler | None
    _redact: Redact | None
    _max_dead_rate: float | None
    _max_dead_minimum: int | None
    _as_output = False

    def _keep_dead_letters(
        self,
        dead_letters: DeadLetters | ErrorHandler | None,
        redact: Redact | None,
        max_dead_rate: float | None,
        max_dead_minimum: int | None,
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
        if max_dead_rate is not None and not _is_share(max_dead_rate):
            raise UsageError(
                f"{self._called} at {self._made_at} got max_dead_rate={max_dead_rate!r}: give a share of "
                "records from 0 to 1, e.g. 0.1 for a tenth"
            )
        if max_dead_minimum is not None:
            given_number(max_dead_minimum, "max_dead_minimum")
        self._home, self._redact = dead_letters, redact
        self._max_dead_rate, self._max_dead_minimum = max_dead_rate, max_dead_minimum

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

    def _limit_dead_rate(
        self,
        taken: Any,
        given: Any,
        observation: Observation,
        refused: list[tuple[Any, str]],
        suffixes: list[str],
    ) -> None:
        """Has the share of what is refused judged, where the user gave a limit.

        Args:
          taken: what this transform is applied to.
          given: what it gives; of a read, what it takes are the records that it gives, and those it refuses.
          observation: what is known of the pipeline.
          refused: PCollections of refusals, each with the full label of the step that refused them.
          suffixes: of each of them, what tells labels for it from those for others.
        """
        limit, minimum = self._max_dead_rate, self._max_dead_minimum
        if limit is None and minimum is None:
            return
        reads = isinstance(taken, PBegin)
        records = given if reads else taken
        # A step inside this one may have a limit of its own.
        judged = {step for _, step in refused} - observation.limited
        observation.limited |= judged
        if observation.observed and records.is_bounded:
            observation.dead_rates.update(dict.fromkeys(sorted(judged), (limit, minimum)))
        elif limit is not None:
            fewest = DEFAULT_MINIMUM if minimum is None else minimum
            for (refusals, step), suffix in zip(refused, suffixes, strict=True):
                if step not in judged:
                    continue
                judge = JudgeDeadRate(step, limit, fewest, takes_refused_too=not reads)
                _ = (records, refusals) | f"DeadRate{suffix}" >> judge

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


def _is_share(number: Any) -> bool:
    return isinstance(number, (int, float)) and not isinstance(number, bool) and 0 <= number <= 1
