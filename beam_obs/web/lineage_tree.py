"""Answers about lineage as trees of plain values for templates: bounded, and each part with its address.

A page has so many nodes at most; what is beyond them has a page of its own, which its origin leads to.
"""

from __future__ import annotations

import dataclasses

from beam_obs.lineage.answers import FromAggregate, FromSource, Into, Refused, Written
from beam_obs.lineage.certainty import COMPLETE, Certainty
from beam_obs.lineage.source_records import VERIFIED, SourceRecord
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.reports.lineage_words import (
    elements_text,
    how_in_text,
    in_text,
    kept_text,
    may_be_text,
    path_text,
    shown_uri,
    source_place_text,
    sources_text,
    written_text,
)
from beam_obs.store.source_partition import SourcePartition
from beam_obs.web.bounded_text import BoundedText, bounded

MOST_NODES = 300
_MOST_LETTERS = 20
_MOST_MAY_BE = 10


@dataclasses.dataclass(frozen=True)
class SourceShown:
    """A source record.

    Args:
      origin: 32 hex digits.
      place: file, line and position.
      state: ``verified``, or why it is not shown.
      text: the record, where it is verified; else None.
      header: names of its columns, of a CSV file; empty where there are none.
      note: what is to be said of it.
    """

    origin: str
    place: str
    state: str
    text: BoundedText | None
    header: str
    note: str

    @property
    def is_verified(self) -> bool:
        """Whether the file is the one that was read."""
        return self.state == VERIFIED


@dataclasses.dataclass(frozen=True)
class MadeOf:
    """What something was made of: a source record, or an aggregate with its contributors.

    Args:
      origin: 32 hex digits.
      path: the steps it passed; empty where they are not known.
      source: the source record; None for an aggregate.
      step: label of the step that made the aggregate; empty where it is not known.
      elements: what the aggregate is of.
      certainty: of its contributors, where they are not all known; else empty.
      note: what else is to be said.
      sources: of the contributors.
      contributors: those that are shown.
      left_out: how many of those that were kept are not.
    """

    origin: str
    path: str
    source: SourceShown | None = None
    step: str = ""
    elements: str = ""
    certainty: str = ""
    note: str = ""
    sources: str = ""
    contributors: tuple[MadeOf, ...] = ()
    left_out: int = 0


@dataclasses.dataclass(frozen=True)
class WrittenShown:
    """Records that entered a sink.

    Args:
      text: how, and where.
      path: the steps to there; empty where they are not known.
      is_end: whether they ended there.
      places: where they are, each as it is asked for and as it is shown.
    """

    text: str
    path: str
    is_end: bool
    places: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class RefusedShown:
    """A dead letter.

    Args:
      id: its id.
      stage: that refused.
      error: type and message.
      kept: why it does not count; empty where it does.
    """

    id: str
    stage: str
    error: BoundedText
    kept: str


@dataclasses.dataclass(frozen=True)
class Became:
    """What became of the elements of an origin.

    Args:
      origin: 32 hex digits.
      how: how what is above is in this aggregate; empty at the top.
      step: label of the step that made it.
      elements: what it is of.
      path: the steps to it; empty where they are not known.
      written: what of it entered sinks.
      refused: what of it was refused.
      more_refused: how many more were.
      filtered: labels of the steps that gave nothing of it.
      dropped: the steps that dropped it as late, each with the window, where it is known.
      aggregates: those that it is a part of.
      left_out: how many of them are not shown.
      may_be: text and origin of aggregates that it may be a part of.
      more_may_be: how many more there are.
      end: where else it ended; empty where it went on.
      certainty: of this, where it is not complete; else empty.
      is_above: whether what became of it stands further up.
    """

    origin: str
    how: str = ""
    step: str = ""
    elements: str = ""
    path: str = ""
    written: tuple[WrittenShown, ...] = ()
    refused: tuple[RefusedShown, ...] = ()
    more_refused: int = 0
    filtered: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    aggregates: tuple[Became, ...] = ()
    left_out: int = 0
    may_be: tuple[tuple[str, str], ...] = ()
    more_may_be: int = 0
    end: str = ""
    certainty: str = ""
    is_above: bool = False


def made_of(tree: FromSource | FromAggregate) -> MadeOf:
    """Returns what something was made of, for a template."""
    path = path_text(tree.path) if tree.path else ""
    if isinstance(tree, FromSource):
        return MadeOf(tree.origin.hex(), path, source_shown(tree))
    return MadeOf(
        tree.origin.hex(),
        path,
        None,
        tree.step,
        elements_text(tree),
        doubt(tree.certainty),
        tree.note,
        sources_text(tree),
        tuple(made_of(one) for one in tree.contributors),
        max(0, tree.left_out),
    )


def source_shown(source: FromSource) -> SourceShown:
    """Returns a source record, with its text only where it is verified."""
    return _shown(source.origin, source.partition, source.position, source.record)


def _shown(
    origin: bytes, partition: SourcePartition | None, position: int | None, record: SourceRecord
) -> SourceShown:
    place = "" if partition is None else source_place_text(partition, position, record)
    is_verified = record.state == VERIFIED and record.text is not None
    return SourceShown(
        origin.hex(),
        place,
        record.state,
        bounded(record.text or "") if is_verified else None,
        bounded(record.header or "").text if is_verified else "",
        record.note,
    )


def became(into: Into, graph: StepGraph, start: str) -> Became:
    """Returns what became of an origin, for a template.

    Args:
      into: what became of it.
      graph: of its run.
      start: label of the step that gave it.
    """
    return _Tree(graph).of(into, start, "")


class _Tree:
    """Nodes of a page: each origin is told once, and there are so many at most."""

    def __init__(self, graph: StepGraph) -> None:
        self._graph = graph
        self._told: set[bytes] = set()

    def of(self, into: Into, start: str, before: str) -> Became:
        """Returns a node.

        Args:
          into: what became of an origin.
          start: label of the step that gave it.
          before: of the step that gave what this is an aggregate of; empty at the top.
        """
        is_top = not before
        head = Became(
            into.origin.hex(),
            "" if is_top else how_in_text(into),
            into.step,
            in_text(into) if into.step else "",
            "" if is_top else self._path(before, start),
        )
        if into.origin in self._told:
            return dataclasses.replace(head, is_above=True)
        self._told.add(into.origin)
        aggregates = [
            self.of(one, one.step, start or one.step)
            for one in into.aggregates
            if one.origin in self._told or len(self._told) < MOST_NODES
        ]
        return dataclasses.replace(
            head,
            written=tuple(_written(one, self._path(start, one.sink)) for one in into.written),
            refused=tuple(_refused(one) for one in into.dead_letters[:_MOST_LETTERS]),
            more_refused=max(0, len(into.dead_letters) - _MOST_LETTERS),
            filtered=into.filtered,
            dropped=tuple((one.step, one.window) for one in into.dropped),
            aggregates=tuple(aggregates),
            left_out=len(into.aggregates) - len(aggregates),
            may_be=tuple((may_be_text(one), one.origin.hex()) for one in into.may_be_in[:_MOST_MAY_BE]),
            more_may_be=max(0, len(into.may_be_in) - _MOST_MAY_BE),
            end="" if into.filtered or into.dropped else into.end,
            certainty="" if is_top else doubt(into.certainty),
        )

    def _path(self, start: str, end: str) -> str:
        path = self._graph.between(start, end)
        return path_text(path) if path else ""


def _written(written: Written, path: str) -> WrittenShown:
    places = () if written.is_end else tuple((place, shown_uri(place)) for place in written.places)
    return WrittenShown(written_text(written), path, written.is_end, places)


def _refused(letter: Refused) -> RefusedShown:
    error = bounded(f"{letter.error_type.rpartition('.')[2]}: {letter.error_message}")
    return RefusedShown(letter.id, letter.stage, error, kept_text(letter).strip())


def doubt(certainty: Certainty) -> str:
    """Returns how sure something is, where it is not complete; else nothing."""
    return "" if certainty.kind == COMPLETE else certainty.text
