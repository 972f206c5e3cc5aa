"""The way of a record as rows of a table: one for each span that its run has kept."""

from __future__ import annotations

import dataclasses

from beam_obs.lineage.way_of_record import ORIGIN, RecordTrace, SpanNode, record_trace
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.wording import microseconds_text
from beam_obs.reports.trace_text import began_at, details_of, failures_of
from beam_obs.store.configuration import find_configuration
from beam_obs.store.store import Store
from beam_obs.web.bounded_text import BoundedText, bounded

_MOST_ROWS = 200


@dataclasses.dataclass(frozen=True)
class TraceRow:
    """A span.

    Args:
      depth: how many spans it is below.
      name: of the step.
      aggregate: origin of the aggregate that the span above went into; empty for any other.
      began: after the first span.
      took: as text; empty for a moment.
      details: what else it says.
      failures: what was raised.
    """

    depth: int
    name: str
    aggregate: str
    began: str
    took: str
    details: tuple[str, ...]
    failures: tuple[BoundedText, ...]


@dataclasses.dataclass(frozen=True)
class TraceShown:
    """What a page says of the way of a record.

    Args:
      rows: of spans.
      left_out: spans that are not shown.
      notes: what is to be said besides.
      url: of the trace in a backend; None where nobody has said where that is.
    """

    rows: tuple[TraceRow, ...]
    left_out: int
    notes: tuple[str, ...]
    url: str | None


def trace_shown(store: Store, origin: str, run: str) -> TraceShown | None:
    """Returns the way of a record; None where its run was not traced.

    Args:
      store: where the run is kept.
      origin: of the record, 32 hex digits.
      run: id of the run.
    """
    try:
        if not store.find(run).start.get("traces"):
            return None
        answer = record_trace(origin, run=run, store=store)
        template = find_configuration().trace_url
    except (BeamObsError, UsageError):
        return None
    rows = _rows(answer)
    url = template.replace("{trace_id}", answer.trace_id) if template else None
    return TraceShown(tuple(rows[:_MOST_ROWS]), max(0, len(rows) - _MOST_ROWS), answer.notes, url)


def _rows(answer: RecordTrace) -> list[TraceRow]:
    rows: list[TraceRow] = []
    began = began_at(answer)

    def add(node: SpanNode, depth: int, aggregate: str) -> None:
        span = node.span
        took = microseconds_text((span.end - span.start) / 1000) if span.end > span.start else ""
        after = f"+{microseconds_text((span.start - began) / 1000)}"
        failures = tuple(bounded(one) for one in failures_of(node))
        rows.append(TraceRow(depth, span.name, aggregate, after, took, tuple(details_of(node)), failures))
        for child in node.children:
            add(child, depth + 1, "")
        for one in node.into:
            add(one, depth + 1, str(one.span.attributes.get(ORIGIN, "")))

    for root in answer.roots:
        add(root, 0, "")
    return rows
