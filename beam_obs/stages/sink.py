"""Sink: any write of Beam's, observed.

trips | "warehouse" >> obs.Sink(beam.io.WriteToText("gs://bucket/trips"), dataset="gs://bucket/trips")
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.run_context import DatasetDescription, Observation
from beam_obs.stages.counted import CountElements
from beam_obs.stages.source import checked_dataset
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.retrying import Retry
from beam_obs.wrapper.role import SINK, Ours


class Sink(Stage, Ours):
    """Applies a write and observes it: what enters is counted, its dataset is an output of the run.

    The result is the write's own. Each step in it that runs the user's code is guarded, as by a `Stage`,
    and so are the records of file sinks that can be tried before they are written: `guarded` and
    `unguarded` list them.

    Args:
      write: what to apply, with or without a label of its own.
      dataset: what the run calls the dataset, e.g. a URI; by default the label.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.
      retry: which errors of its steps are transient, as for a `Stage`; most writes of Beam's try again
        themselves.

    Raises:
      UsageError: there is no transform, the Sink has no label, it is applied to no PCollection, or dead
        letters have two homes.

    >>> import apache_beam as beam, glob
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     trips = p | beam.Create(["one", 2])
    ...     write = beam.io.WriteToText("trips", coder=beam.coders.StrUtf8Coder())
    ...     files, dead = trips | "trips" >> obs.Sink(write).with_dead_letters()
    ...     _ = dead | beam.Map(lambda letter: print(letter.payload_text))
    2
    >>> [open(name).read() for name in glob.glob("trips*")]
    ['one\\n']
    """

    _called = "obs.Sink"
    _takes = "a write, e.g. obs.Sink(beam.io.WriteToText(prefix))"
    role = SINK

    def __init__(
        self,
        write: beam.PTransform,
        *,
        dataset: str | None = None,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
        retry: Retry | None = None,
    ) -> None:
        super().__init__(
            write,
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
            retry=retry,
        )
        self._dataset = checked_dataset(dataset, self)

    def _observe_pardo(self, pcoll: Any, stage: str, observation: Observation, keeps: bool) -> Any:
        self._note(stage, observation)
        return super()._observe_pardo(pcoll, stage, observation, keeps)

    def _guard_composite(self, pcoll: Any, stage: str, observation: Observation, keeps: bool) -> Any:
        self._note(stage, observation)
        count = beam.ParDo(CountElements(stage, observation.context)).with_output_types(pcoll.element_type)
        return super()._guard_composite(pcoll | INNER_LEAF >> count, stage, observation, keeps)

    def _note(self, stage: str, observation: Observation) -> None:
        if observation.observed:
            name = self._dataset or self.label
            observation.outputs.append(DatasetDescription(name, name, stage))
