"""What questions about lineage are answered with: plain data, as commands print it and `--json` gives it."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_obs.lineage.certainty import COMPLETELY, Certainty
from beam_obs.lineage.output_records import OutputRecord
from beam_obs.lineage.source_records import SourceRecord
from beam_obs.lineage.step_graph import PathPart
from beam_obs.records.shown_in_notebooks import ShownInNotebooks
from beam_obs.store.source_partition import SourcePartition


@dataclasses.dataclass(frozen=True)
class RunOf:
    """The run that an answer is about.

    Args:
      id: its id.
      pipeline: name of the pipeline.
      status: as shown by the commands.
      started: when.
      code: version of its code.
      replay_of: id of the run whose records it replayed; None where it was no replay.
    """

    id: str
    pipeline: str
    status: str
    started: str
    code: str | None
    replay_of: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the run as JSON-able values; what it is a replay of only where it is one."""
        told = dataclasses.asdict(self)
        if self.replay_of is None:
            del told["replay_of"]
        return told


# Backward.


@dataclasses.dataclass(frozen=True)
class FromSource:
    """A source record that something was made of.

    Args:
      origin: its origin.
      partition: what it is of; None where the run's partitions do not tell.
      position: in the partition; None where it has none.
      record: as it is in the source now.
      path: the steps from its source to what was made of it.
    """

    origin: bytes
    partition: SourcePartition | None
    position: int | None
    record: SourceRecord
    path: tuple[PathPart, ...] = ()

    @property
    def certainty(self) -> Certainty:
        """That of this record being the one."""
        return COMPLETELY

    def to_json(self) -> dict[str, Any]:
        """Returns the record as JSON-able values."""
        return {
            "kind": "source",
            "origin": self.origin.hex(),
            "source": self.partition.source if self.partition else None,
            "uri": self.partition.uri if self.partition else None,
            "version": self.partition.version if self.partition else None,
            "position": self.position,
            **dataclasses.asdict(self.record),
            "path": [part.to_json() for part in self.path],
        }


@dataclasses.dataclass(frozen=True)
class SourceShare:
    """A source of an aggregate.

    Args:
      name: URI of the file, or what else is known of the partition.
      code: of the partition, 8 hex digits; all zero for aggregates.
      contributors: how many of the contributors that were kept are of it.
    """

    name: str
    code: str
    contributors: int


@dataclasses.dataclass(frozen=True)
class FromAggregate:
    """An aggregate, and what it was made of.

    Args:
      origin: its origin.
      step: label of the step that made it; empty where it is not known.
      kind: ``aggregate`` and ``batch`` are exact; ``state`` and ``bundle`` name all that may have
        contributed.
      key: for people.
      window: for people.
      pane: index of the pane.
      count: elements that it was made of.
      unknown: those of them whose origin is not known.
      kept: origins that were kept.
      sources: of the contributors.
      more_sources: whether there are more.
      contributors: those that are shown.
      certainty: of the contributors of this aggregate alone.
      path: the steps from the one that made it to what was made of it.
      note: what else is to be said.
    """

    origin: bytes
    step: str
    kind: str
    key: str
    window: str
    pane: int
    count: int
    unknown: int
    kept: int
    sources: tuple[SourceShare, ...]
    more_sources: bool
    contributors: tuple[FromSource | FromAggregate, ...]
    certainty: Certainty
    path: tuple[PathPart, ...] = ()
    note: str = ""

    @property
    def left_out(self) -> int:
        """How many of the contributors that were kept are not shown."""
        return self.kept - len(self.contributors)

    def to_json(self) -> dict[str, Any]:
        """Returns the aggregate as JSON-able values."""
        return {
            "kind": self.kind,
            "origin": self.origin.hex(),
            "step": self.step,
            "key": self.key,
            "window": self.window,
            "pane": self.pane,
            "count": self.count,
            "unknown": self.unknown,
            "contributors_kept": self.kept,
            "sources": [dataclasses.asdict(source) for source in self.sources],
            "more_sources": self.more_sources,
            "certainty": self.certainty.to_json(),
            "note": self.note,
            "contributors": [one.to_json() for one in self.contributors],
            "contributors_left_out": self.left_out,
            "path": [part.to_json() for part in self.path],
        }


@dataclasses.dataclass(frozen=True)
class Why(ShownInNotebooks):
    """Why a record is what it is.

    Args:
      run: the run that made it; None where it is not known.
      certainty: of the answer as a whole.
      record: read from its output; None where an origin was asked for.
      found_by: how its origin was found.
      sinks: labels of the sinks that it entered.
      made_of: what it was made of: one, or one for each of several records that have equal bytes.
      notes: what else is to be said.
      others: places of more records that match.
    """

    run: RunOf | None
    certainty: Certainty
    record: OutputRecord | None = None
    found_by: str = ""
    sinks: tuple[str, ...] = ()
    made_of: tuple[FromSource | FromAggregate, ...] = ()
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said since files of the store are missing or damaged."""
        return self.certainty.is_damaged and not any(
            isinstance(one, FromSource) or one.step for one in self.made_of
        )

    @property
    def origin(self) -> bytes | None:
        """The origin of the record; None where it is not known, or one of several."""
        return self.made_of[0].origin if len(self.made_of) == 1 else None

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as JSON-able values."""
        record = self.record
        return {
            "certainty": self.certainty.to_json(),
            "run": self.run.to_json() if self.run else None,
            "record": None
            if record is None
            else {"file": record.file, "number": record.number, "format": record.format, "text": record.text},
            "found_by": self.found_by,
            "sinks": list(self.sinks),
            "origin": self.origin.hex() if self.origin else None,
            "made_of": [one.to_json() for one in self.made_of],
            "notes": list(self.notes),
            "others": list(self.others),
        }


# Forward.


@dataclasses.dataclass(frozen=True)
class Written:
    """Records that entered a sink.

    Args:
      sink: label of the sink, or of a step that gives nothing further.
      uri: where it writes; None where that is not known.
      digests: of the records.
      is_end: whether it is no sink, but a step that elements end in.
      places: where they are, as far as that is known: ``FILE:N``.
    """

    sink: str
    uri: str | None
    digests: tuple[bytes, ...]
    is_end: bool = False
    places: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the records as JSON-able values."""
        return {
            "sink": self.sink,
            "uri": self.uri,
            "digests": [digest.hex() for digest in self.digests],
            "is_end": self.is_end,
            "places": list(self.places),
        }


@dataclasses.dataclass(frozen=True)
class Refused:
    """A dead letter.

    Args:
      id: of the dead letter.
      stage: label of the stage that refused.
      error_type: full name of the exception's class.
      error_message: its text.
      committed: whether a finished bundle kept it.
      superseded: whether it is of an earlier attempt at the job, which the engine started again.
    """

    id: str
    stage: str
    error_type: str
    error_message: str
    committed: bool
    superseded: bool = False


@dataclasses.dataclass(frozen=True)
class DroppedLate:
    """A step that dropped a record, which came too late for a window.

    Args:
      step: label of the step.
      window: which; empty where windows merge, so that it is not known.
    """

    step: str
    window: str = ""


@dataclasses.dataclass(frozen=True)
class Into:
    """What became of the elements of one origin.

    Args:
      origin: the origin.
      step: label of the step that made the aggregate; empty for a source record.
      kind: of the aggregate: of a ``state`` or ``bundle`` it is known only that it may have contributed.
      key: of the aggregate, for people.
      window: of the aggregate.
      pane: of the aggregate.
      count: elements of the aggregate.
      written: what of it entered sinks.
      aggregates: those that it is a part of.
      may_be_in: aggregates that keep a sample of their contributors, and may have it among the others.
      dead_letters: what of it was refused.
      filtered: labels of steps that are noted to have given nothing of it.
      dropped: steps that are noted to have dropped it as late, each with the window.
      end: where else it can have ended, as a sentence; empty where it went on.
      ended_at: labels of the steps that it may have ended in.
      certainty: of this.
    """

    origin: bytes
    step: str = ""
    kind: str = ""
    key: str = ""
    window: str = ""
    pane: int = 0
    count: int = 1
    written: tuple[Written, ...] = ()
    aggregates: tuple[Into, ...] = ()
    may_be_in: tuple[MayBeIn, ...] = ()
    dead_letters: tuple[Refused, ...] = ()
    filtered: tuple[str, ...] = ()
    dropped: tuple[DroppedLate, ...] = ()
    end: str = ""
    ended_at: tuple[str, ...] = ()
    certainty: Certainty = COMPLETELY

    def to_json(self) -> dict[str, Any]:
        """Returns the fate as JSON-able values."""
        return {
            "origin": self.origin.hex(),
            "step": self.step,
            "kind": self.kind,
            "key": self.key,
            "window": self.window,
            "pane": self.pane,
            "count": self.count,
            "written": [one.to_json() for one in self.written],
            "aggregates": [one.to_json() for one in self.aggregates],
            "may_be_in": [one.to_json() for one in self.may_be_in],
            "dead_letters": [dataclasses.asdict(one) for one in self.dead_letters],
            "filtered": list(self.filtered),
            "dropped": [dataclasses.asdict(one) for one in self.dropped],
            "end": self.end,
            "ended_at": list(self.ended_at),
            "certainty": self.certainty.to_json(),
        }


@dataclasses.dataclass(frozen=True)
class MayBeIn:
    """An aggregate that keeps a sample of its contributors.

    Args:
      origin: of the aggregate.
      step: label of the step that made it.
      key: for people.
      window: for people.
      count: elements that it was made of.
      rate: the share of them that was kept.
      pane: index of the pane.
    """

    origin: bytes
    step: str
    key: str
    window: str
    count: int
    rate: float
    pane: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns the aggregate as JSON-able values."""
        return dataclasses.asdict(self) | {"origin": self.origin.hex()}


@dataclasses.dataclass(frozen=True)
class Fate(ShownInNotebooks):
    """What became of a source record, or of an aggregate.

    Args:
      run: the run; None where none is known to have read it.
      certainty: of the answer as a whole.
      into: what became of it; None where the place belongs to no record.
      partition: of the source record; None for an aggregate.
      position: of the source record.
      record: as it is in the source now.
      notes: what else is to be said.
      before: what had become of it in the runs that it was replayed from, the oldest first.
      replays: what became of it, and of aggregates of it that were refused, in the runs that replayed it.
    """

    run: RunOf | None
    certainty: Certainty
    into: Into | None = None
    partition: SourcePartition | None = None
    position: int | None = None
    record: SourceRecord | None = None
    notes: tuple[str, ...] = ()
    before: tuple[Fate, ...] = ()
    replays: tuple[Fate, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said since files of the store are missing or damaged."""
        return self.certainty.is_damaged and (
            self.into is None or (bool(self.into.end) and not self.into.filtered and not self.into.dropped)
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as JSON-able values."""
        return {
            "certainty": self.certainty.to_json(),
            "run": self.run.to_json() if self.run else None,
            "source": self.partition.source if self.partition else None,
            "uri": self.partition.uri if self.partition else None,
            "version": self.partition.version if self.partition else None,
            "position": self.position,
            "record": dataclasses.asdict(self.record) if self.record else None,
            "fate": self.into.to_json() if self.into else None,
            "notes": list(self.notes),
            **{
                name: [one.to_json() for one in others]
                for name, others in (("before", self.before), ("replays", self.replays))
                if others
            },
        }
