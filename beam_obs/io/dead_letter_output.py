"""What reads and writes have in common that keep dead letters."""

from __future__ import annotations

import dataclasses
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.dead_letter_format import FormatDeadLetters
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.refusal_homes import RefusalHomes
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import UsageError
from beam_obs.records.made_at import made_at
from beam_obs.records.run_context import observation_of
from beam_obs.stages.keeps_dead_letters import KeepsDeadLetters
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.refusal import DEAD_TAG
from beam_obs.wrapper.role import Ours


class DeadLetterOutput(KeepsDeadLetters, Ours):
    """A read or write whose dead letters go to a home that was given, or to an output of their own.

    Args:
      dead_letters: a home for the dead letters.
      redact: what stays out of them.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: one of them is wrong.
    """

    def __init__(
        self,
        dead_letters: DeadLetters | ErrorHandler | None,
        redact: Redact | None,
        max_dead_rate: float | None,
        max_dead_minimum: int | None,
    ) -> None:
        super().__init__()
        self._called = f"obs.{type(self).__name__}"
        self._made_at = made_at(self)
        self._keep_dead_letters(dead_letters, redact, max_dead_rate, max_dead_minimum)

    def _check_pcollection(self, pcoll: Any, label: str) -> None:
        """Raises a UsageError where the transform is applied to something else than a PCollection."""
        if not isinstance(pcoll, PCollection):
            raise UsageError(
                f"{self._called} {label!r} (made at {self._made_at}) needs a PCollection of "
                f"records, got {pcoll!r}"
            )

    def _read_by(self, pardo: beam.ParDo, pcoll: Any, pbegin: Any, homes: RefusalHomes) -> Any:
        """Applies the last step of a read, which gives records and refusals; brings these to their homes.

        Args:
          pardo: the step; refusals have `DEAD_TAG`.
          pcoll: what it takes.
          pbegin: what the read is applied to.
          homes: of its refusals.

        Returns:
          The records, or what is given where dead letters are an output.
        """
        observation = observation_of(pbegin.pipeline)
        label = pbegin.pipeline._current_transform().full_label
        outputs = pcoll | pardo.with_outputs(DEAD_TAG, main="records")
        records, refusals = outputs["records"], outputs[DEAD_TAG]
        refusals.element_type = Any
        self._limit_dead_rate(pbegin, records, observation, [(refusals, label)], [""])
        homes.keep(refusals, label)
        if not homes.gives_letters:
            return records
        formatter = FormatDeadLetters(label, observation.context)
        letters = refusals | "Letters" >> beam.ParDo(formatter).with_output_types(DeadLetter)
        return self._with_letters(records, letters, label)

    def _tried(self, pcoll: Any, label: str, attempt: Any, gives_letters: bool) -> tuple[Any, Any]:
        """Tries records by a Stage that goes by the label of this transform, and is told by its name.

        Args:
          pcoll: the records.
          label: full label of this transform.
          attempt: a ParDo that raises on what is to be refused.
          gives_letters: whether the dead letters are given.

        Returns:
          What the attempt gives, and the dead letters or None.
        """
        home = None if gives_letters else self._home
        stage = Stage(
            label >> attempt,
            dead_letters=home,
            redact=self._redact,
            max_dead_rate=self._max_dead_rate,
            max_dead_minimum=self._max_dead_minimum,
        )
        letters = None
        if gives_letters:
            tried, letters = stage.with_dead_letters().expand(pcoll)
        else:
            tried = stage.expand(pcoll)
        stages = observation_of(pcoll.pipeline).stages
        if label in stages:
            stages[label] = dataclasses.replace(stages[label], kind=type(self).__name__)
        return tried, letters
