"""What writes to a service have in common: records tried by a stage, then Beam's own write, then what it
reports as refused."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.coders import registry
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.dead_letter_format import FormatDeadLetters
from beam_obs.dead_letters.evidence_writer import globally
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.refusal_homes import RefusalHomes
from beam_obs.dead_letters.service_refusals import ReadFailedRows
from beam_obs.io.dead_letter_output import DeadLetterOutput
from beam_obs.io.writes.file_write import given_stamp, stamps_of
from beam_obs.metrics.names import LATER_LEAF
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.lineage_attributes import Attributes
from beam_obs.records.run_context import DatasetDescription, observation_of
from beam_obs.stages.observed_pardo import with_room_for_lineage
from beam_obs.wrapper.redaction import Redact, redaction_within
from beam_obs.wrapper.role import WRITE


class ServiceWrite(DeadLetterOutput):
    """Writes a PCollection to a service by a transform of Beam's.

    Args:
      dataset: URI of what is written to.
      dead_letters: a home for the dead letters.
      redact: what stays out of them, as for a `Stage`.
      stamp: whether records get their lineage attributes; None for yes where the pipeline is woven and
        records have room.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`; what the
        service refuses counts when an observed batch run is judged.
      max_dead_minimum: fewest records for the share to be judged.
    """

    role = WRITE

    def __init__(
        self,
        dataset: str,
        dead_letters: DeadLetters | ErrorHandler | None,
        redact: Redact | None,
        stamp: bool | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(dead_letters, redact, max_dead_rate, max_dead_minimum)
        self._dataset = dataset
        self._stamp = given_stamp(stamp)

    def expand(self, pcoll: Any) -> Any:
        """Applies the write; gives what Beam's gives."""
        pipeline = pcoll.pipeline
        label = pipeline._current_transform().full_label
        self._check_pcollection(pcoll, label)
        observation = observation_of(pipeline)
        attributes = stamps_of(observation, label, self._stamp, self._has_room())
        homes = RefusalHomes(observation, self._home, self._as_output)
        element_type = pcoll.element_type if attributes is None else self._stamped_type(pcoll)
        attempt = beam.Map(self._attempt(pcoll, attributes)).with_output_types(element_type)
        tried, letters = self._tried(pcoll, label, attempt, homes.gives_letters)
        if observation.observed:
            observation.outputs.append(DatasetDescription(self.label, self._dataset, label))
        result, failures = self._write(tried)
        if failures is None or not homes.keep_refusals:
            return self._with_letters(result, letters, label) if homes.gives_letters else result
        reader = ReadFailedRows(
            label,
            observation.context,
            registry.get_coder(pcoll.element_type),
            redaction_within(observation, self._redact),
        )
        refusals = failures | LATER_LEAF >> beam.ParDo(reader)
        homes.keep(refusals, label, " of the service")
        if not homes.gives_letters:
            return result
        formatter = FormatDeadLetters(label, observation.context)
        of_service = refusals | "Letters of the service" >> beam.ParDo(formatter).with_output_types(
            DeadLetter
        )
        both = (globally(letters, "Globally"), globally(of_service, "Globally of the service"))
        if str(letters.windowing) == str(of_service.windowing):
            both = (letters, of_service)
        return self._with_letters(result, both | "All letters" >> beam.Flatten(), label)

    def _has_room(self) -> bool:
        """Returns whether records have room for lineage attributes, as far as it can be known."""
        return False

    def _stamped_type(self, pcoll: Any) -> Any:
        """Returns the type of records that have lineage attributes."""
        return with_room_for_lineage(pcoll.element_type)

    def _attempt(self, pcoll: Any, attributes: Attributes | None) -> Any:
        """Returns a function that gives back a record that can be sent, and raises on any other.

        Args:
          pcoll: the records.
          attributes: makes the lineage attributes that they get, or None.
        """
        raise NotImplementedError

    def _write(self, pcoll: Any) -> tuple[Any, Any]:
        """Applies Beam's write; returns its result, and the failures that it reports, or None."""
        raise NotImplementedError
