"""Stamp: the lineage attributes of a record, put into the record.

good | obs.Stamp() | beam.io.WriteToParquet(...)
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints import row_type

from beam_obs.beam_private import user_type_is_generated
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, Attributes, LineageAttributes
from beam_obs.records.made_at import made_at
from beam_obs.records.run_context import RunContext, observation_of
from beam_obs.stages.keeps_dead_letters import KeepsDeadLetters
from beam_obs.stages.observed_pardo import with_room_for_lineage
from beam_obs.stages.pubsub_messages import is_message, stamped_message
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.untyped import Untyped, untyped

_LOGGER = logging.getLogger(__name__)
_FIELD = f"'{LINEAGE_FIELD}: dict | None = None'"


class Stamp(KeepsDeadLetters, Untyped, beam.PTransform):
    """Adds to each record where it came from, and which run and code made it: its lineage attributes.

    - A dict gets the key ``_lineage``.
    - A `beam.Row` gets the field ``_lineage``, a dict. Beam then knows no schema of the rows any more: in
      Python a field of a schema cannot begin with an underscore.
    - A dataclass gets a dict in its field ``_lineage``.
    - A `PubsubMessage` gets attributes ``beam_obs-origin``, ``beam_obs-run``, ..., and ``traceparent`` unless
      it has one.

    A record that has no room becomes a dead letter; where dead letters have no home it fails the job. Records
    keep attributes of their own where these are of the same run. In a pipeline that is not woven (a plain
    Beam pipeline, or with ``--obs_lineage=off``) run and code are stamped, and the origin is null: so turning
    lineage off breaks no pipeline.

    Args:
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: an argument is wrong; and when applied, the type of the records is known and has no room,
        as NamedTuples: their fields cannot begin with an underscore.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     stamped = p | beam.Create([{"carrier": "UA"}]) | obs.Stamp()
    ...     _ = stamped | beam.Map(lambda record: print(sorted(record["_lineage"])))
    ['code', 'origin', 'pipeline', 'position', 'run', 'source_uri', 'source_version', 'stamped_at']
    """

    _called = "obs.Stamp"

    def __init__(
        self,
        *,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__()
        self._made_at = made_at(self)
        self._keep_dead_letters(dead_letters, redact, max_dead_rate, max_dead_minimum)

    def expand(self, pcoll: Any) -> Any:
        """Gives the records with their attributes."""
        label = pcoll.pipeline._current_transform().full_label
        observation = observation_of(pcoll.pipeline)
        if observation.lineage is False:
            _LOGGER.warning("%s: the pipeline is not woven, so records get no origins", label)
        element_type = stamped_type(pcoll.element_type, f"{label!r} (made at {self._made_at})")
        stamp = beam.Map(StampRecord(observation.context)).with_output_types(element_type)
        stage = Stage(
            label >> stamp,
            dead_letters=self._home,
            redact=self._redact,
            max_dead_rate=self._max_dead_rate,
            max_dead_minimum=self._max_dead_minimum,
        )
        if not self._as_output:
            return stage.expand(pcoll)
        stamped, letters = stage.with_dead_letters().expand(pcoll)
        return self._with_letters(stamped, letters, label)


@untyped
class StampRecord:
    """Gives a record with its attributes.

    Args:
      context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._attributes = Attributes(context)

    def __call__(self, record: Any) -> Any:
        """Returns the record with attributes.

        Raises:
          TypeError: it has no room.
        """
        return self.with_origin(record, current_origin() or b"")

    def with_origin(self, record: Any, provenance: bytes) -> Any:
        """Returns the record with attributes; woven steps call this.

        Args:
          record: any.
          provenance: its origin, if it is of 16 bytes.
        """
        attributes = self._attributes
        if type(record) is dict:
            return {**record, LINEAGE_FIELD: attributes.of(provenance, record.get(LINEAGE_FIELD))}
        return _stamp_other(record, lambda carried: attributes.of(provenance, carried))


def _stamp_other(record: Any, attributes_of: Callable[[Any], LineageAttributes]) -> Any:
    if isinstance(record, dict):
        stamped = record.copy()
        stamped[LINEAGE_FIELD] = attributes_of(record.get(LINEAGE_FIELD))
        return stamped
    if isinstance(record, beam.Row) or user_type_is_generated(type(record)):
        # A row that was encoded comes back as a named tuple of Beam's making.
        fields = record._asdict()
        return beam.Row(**{**fields, LINEAGE_FIELD: attributes_of(fields.get(LINEAGE_FIELD))})
    if is_message(record):
        return stamped_message(record, attributes_of(None))
    if dataclasses.is_dataclass(record) and hasattr(record, LINEAGE_FIELD):
        carried = getattr(record, LINEAGE_FIELD)
        return dataclasses.replace(record, **{LINEAGE_FIELD: attributes_of(carried)})  # type: ignore[type-var]
    raise TypeError(f"a {type(record).__qualname__} has no room for lineage attributes: {_advice(record)}")


def _advice(record: Any) -> str:
    kind = record if isinstance(record, type) else type(record)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return (
            "fields of a NamedTuple cannot begin with an underscore; make it a dict, or a dataclass with "
            f"a field {_FIELD}"
        )
    if dataclasses.is_dataclass(kind):
        return f"give it a field {_FIELD}"
    return "records are dicts, rows, dataclasses and Pub/Sub messages"


def stamped_type(element_type: Any, step: str) -> Any:
    """Returns the type of the records of a type, once they are stamped.

    Args:
      element_type: as Beam knows it.
      step: what stamps them, in words.

    Raises:
      UsageError: records of the type have no room.

    >>> stamped_type(beam.typehints.Dict[str, int], "stamp")
    Dict[<class 'str'>, Any]
    """
    if isinstance(element_type, row_type.RowTypeConstraint):
        if not isinstance(element_type, row_type.GeneratedClassRowTypeConstraint):
            return stamped_type(element_type.user_type, step)
        return beam.Row
    if isinstance(element_type, type) and not _may_have_room(element_type):
        name = element_type.__qualname__
        raise UsageError(f"{step}: a {name} has no room for lineage attributes: {_advice(element_type)}")
    return with_room_for_lineage(element_type)


def _may_have_room(kind: type) -> bool:
    if dataclasses.is_dataclass(kind):
        return any(field.name == LINEAGE_FIELD for field in dataclasses.fields(kind))
    return not issubclass(kind, (tuple, str, bytes, int, float, list, set))
