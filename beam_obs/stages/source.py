"""Source: any read of Beam's, observed.

trips = p | "trips" >> obs.Source(beam.io.ReadFromBigQuery(table=...), dataset="bigquery:city.trips")
"""

from __future__ import annotations

import os
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.coders import registry
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.beam_private import PTransformFnPTransform
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_flag
from beam_obs.records.run_context import DatasetDescription, Observation, StageDescription
from beam_obs.stages.composite import GuardedExpansion
from beam_obs.stages.counted import CountElements, StampUnlocated
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.retrying import Retry


class Source(Stage):
    """Applies a read and observes it: its elements are counted, its dataset is an input of the run.

    Elements, their types, windows and timestamps are those of the read. Where a record lies is not known
    of a foreign read: origins are a hash of the record, and may differ from run to run.

    A read of Beam's own is applied as it is; what it refuses comes to an output or error handler of its
    own. Where that is an `obs.DeadLetters`, `redact` holds for it; an `ErrorHandler` of Beam's gets the
    elements whole, and `max_dead_rate` counts neither. In a composite of the user's each step that runs the
    user's code is guarded, as by a `Stage`.

    Args:
      read: what to apply, with or without a label of its own.
      dataset: what the run calls the dataset, e.g. a URI; by default the label.
      stamp: whether records that are dicts, or dataclasses with a field ``_lineage``, get their lineage
        attributes; others pass as they are.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.
      retry: which errors of the steps of a composite are transient, as for a `Stage`; a read of Beam's own
        takes none.

    Raises:
      UsageError: there is no transform, the Source has no label, it is applied to a PCollection, the read
        gives more than one PCollection, or dead letters have two homes.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     read = beam.Create([{"trip": 1}])
    ...     _ = p | "trips" >> obs.Source(read, dataset="city trips", stamp=True) | beam.Map(
    ...         lambda trip: print(trip["trip"], trip["_lineage"]["source_uri"])
    ...     )
    1 city trips
    """

    _called = "obs.Source"
    _takes = "a read, e.g. obs.Source(beam.io.ReadFromBigQuery(table=...))"

    def __init__(
        self,
        read: beam.PTransform,
        *,
        dataset: str | None = None,
        stamp: bool = False,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
        retry: Retry | None = None,
    ) -> None:
        super().__init__(
            read,
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
            retry=retry,
        )
        if self._pardo is not None:
            raise UsageError(
                f"obs.Source at {self._made_at} got a ParDo, which reads no source by itself: "
                "give a read, or put an obs.Stage around it"
            )
        self._dataset = checked_dataset(dataset, self)
        self.stamps_lineage = given_flag(stamp, "stamp")
        """Whether records leave with lineage attributes; Stages look for it upstream."""

    def _check_input(self, pbegin: Any) -> None:
        if not isinstance(pbegin, pvalue.PBegin):
            raise UsageError(
                f"source {self.label!r} (made at {self._made_at}) is applied to a pipeline, got {pbegin!r}"
            )

    def _guard_composite(
        self, pbegin: Any, stage: str, observation: Observation, keeps: bool
    ) -> tuple[Any, Any]:
        transform = self._transform
        refused: list[Any] = []
        if _is_beams_own(transform):
            if self._retry is not None:
                self._refuse("retry=", "a read of Beam's own is applied as it is")
            # An obs.DeadLetters may be the error handler that it was given.
            observation.redacts.append(self._redact)
            try:
                elements = pbegin | transform
            finally:
                observation.redacts.pop()
        else:
            guarded = GuardedExpansion(
                pbegin.pipeline, observation, keeps, False, self._redact, retry=self._retry
            )
            with guarded:
                elements = pbegin | transform
            self._take_tried(guarded)
            self.guarded, self.unguarded = list(guarded.guarded), list(guarded.unguarded)
            refused = guarded.refused
        if not isinstance(elements, pvalue.PCollection):
            raise UsageError(
                f"source {self.label!r} (made at {self._made_at}): {type(transform).__name__} gives "
                f"{type(elements).__name__}, not one PCollection; put the Source around a composite that does"
            )
        if observation.observed:
            name = self._dataset or self.label
            observation.stages[stage] = StageDescription(stage, type(transform).__name__, "none")
            # A read of ours tells itself what it reads; within this one it is the same dataset.
            inner = [one for one in observation.inputs if one.label.startswith(f"{stage}/")]
            uri = inner[0].uri if len(inner) == 1 else name
            observation.inputs[:] = [one for one in observation.inputs if one not in inner]
            observation.inputs.append(DatasetDescription(name, uri, stage))
        count = CountElements(stage, observation.context)
        if self.stamps_lineage:
            coder = registry.get_coder(elements.element_type)
            count = StampUnlocated(stage, observation.context, self._dataset or self.label, coder)
        counted = elements | INNER_LEAF >> beam.ParDo(count).with_output_types(
            _stamped_type(elements.element_type) if self.stamps_lineage else elements.element_type
        )
        return counted, refused


def _is_beams_own(transform: Any) -> bool:
    kind = type(transform)
    return kind.__module__.startswith("apache_beam.") and kind is not PTransformFnPTransform


def _stamped_type(kind: Any) -> Any:
    """The type of stamped elements: dicts have values of another type then."""
    return dict[str, Any] if str(kind).lower().startswith("dict") else kind


def checked_dataset(dataset: Any, stage: Stage) -> str | None:
    """Returns the name of a dataset as a user gave it.

    Raises:
      UsageError: it is none.
    """
    if isinstance(dataset, os.PathLike):
        dataset = os.fspath(dataset)
    if dataset is not None and (not isinstance(dataset, str) or not dataset):
        raise UsageError(f"{stage._called} at {stage._made_at} got dataset={dataset!r}: give a name or URI")
    return dataset
