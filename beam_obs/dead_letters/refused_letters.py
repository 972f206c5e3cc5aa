"""Dead letters that their own sink refused: to the run, to a home besides, or else an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from beam_obs.dead_letters.dead_letter_format import FormatDeadLetters
from beam_obs.dead_letters.homes import AvroFiles, DeadLetters, JsonLines, KeepRefusals
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import RefusedRecord
from beam_obs.records.run_context import observation_of
from beam_obs.wrapper.failure import in_words
from beam_obs.wrapper.refusal import Refusal
from beam_obs.wrapper.role import EVIDENCE, Ours
from beam_obs.wrapper.untyped import Untyped

Fallback = str | AvroFiles | JsonLines | None
"""A folder, `AvroFiles`, `JsonLines`, or None for the run's store alone."""


class KeepRefusedLetters(Ours):
    """Keeps what a sink of dead letters refused, and gives it as dead letters of the sink.

    Args:
      label: full label of the sink.
      fallback: where they go besides the run's store; where there is neither, one of them fails the job.
    """

    role = EVIDENCE

    def __init__(self, label: str, fallback: Fallback) -> None:
        super().__init__()
        self._label = label
        self._fallback = fallback

    def expand(self, refusals: Any) -> Any:
        """Gives the dead letters of the sink."""
        label = self._label
        observation = observation_of(refusals.pipeline)
        context = observation.context
        if observation.dead_letters is not None:
            _ = refusals | "Evidence" >> KeepRefusals(observation.dead_letters, label, context)
        elif self._fallback is None:
            return refusals | "Fail" >> beam.ParDo(_Fail(label)).with_output_types(DeadLetter)
        if self._fallback is not None:
            with DeadLetters(self._fallback, label="Commit") as home:
                _ = refusals | "Fallback" >> KeepRefusals(home, label, context)
        formatter = FormatDeadLetters(label, context)
        return refusals | "Letters" >> beam.ParDo(formatter).with_output_types(DeadLetter)


class _Fail(Untyped, beam.DoFn):
    def __init__(self, label: str) -> None:
        self._label = label

    def process(self, refusal: Refusal) -> Iterable[DeadLetter]:
        raise RefusedRecord(
            self._label, f"a dead letter was refused by its sink: {in_words(refusal.failure).message}"
        )
