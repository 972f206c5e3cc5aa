"""A record's way as the spans in a run's folder tell it: a tree, on into the aggregates that link to it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from beam_obs.lineage import run_choice
from beam_obs.lineage.answers import FromAggregate, FromSource, RunOf, Why
from beam_obs.lineage.backward import as_origin, why
from beam_obs.lineage.forward import NotRead, fate
from beam_obs.lineage.output_records import NoSuchRecord
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.span_rows import SpanRow
from beam_obs.store.kept_spans import kept_spans
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store, store_at

ORIGIN = "beam.origin"
_HEX = re.compile("[0-9a-fA-F]{4,}")
_RUNS_LOOKED_AT = 20
_MOST_SPANS = 2_000
_MOST_INTO = 20
_DEEPEST = 4


@dataclasses.dataclass(frozen=True)
class SpanNode:
    """A span, and what followed from it.

    Args:
      span: as it was made.
      tries: how often it was made: a bundle that is tried again makes the same spans, and so do bundles that
        have several elements of the origin between them.
      children: the spans whose parent it is, in the order in which they began.
      into: the aggregates that link to it, each with the spans that followed.
    """

    span: SpanRow
    tries: int
    children: tuple[SpanNode, ...] = ()
    into: tuple[SpanNode, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the span and what followed as JSON-able values."""
        span = self.span
        return {
            "name": span.name,
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_id": span.parent_id or None,
            "start_ns": span.start,
            "end_ns": span.end,
            "tries": self.tries,
            "failed": span.status == 2,
            "attributes": dict(span.attributes),
            "events": [
                {"name": one.name, "time_ns": one.time, "attributes": dict(one.attributes)}
                for one in span.events
            ],
            "links": [{"trace_id": one.trace_id, "span_id": one.span_id} for one in span.links],
            "children": [child.to_json() for child in self.children],
            "into": [one.to_json() for one in self.into],
        }


@dataclasses.dataclass(frozen=True)
class RecordTrace:
    """The way of a record.

    Args:
      run: that it was in; None where none knows it.
      origin: of the record.
      trace_id: of its spans, 32 hex digits: the origin, or that of the trace that it came with.
      roots: the spans that have no parent among them.
      notes: what is to be said besides; why there are no spans.
    """

    run: RunOf | None
    origin: bytes
    trace_id: str
    roots: tuple[SpanNode, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as JSON-able values."""
        return {
            "run": None if self.run is None else self.run.to_json(),
            "origin": self.origin.hex(),
            "trace_id": self.trace_id,
            "spans": [root.to_json() for root in self.roots],
            "notes": list(self.notes),
        }


def record_trace(
    target: str, *, run: str | None = None, store: Store | str | os.PathLike[str] | None = None
) -> RecordTrace:
    """Returns the way of a record, from the spans that its run has kept.

    Args:
      target: an origin of 32 hex digits; ``FILE:N``, a record of a source or of an output; or anything else
        that `fate` or `why` take.
      run: as `Store.find` takes it; by default the newest that has spans of it.
      store: where the run is kept, or its folder; by default that of the commands.

    Raises:
      UsageError: it cannot be told which record is meant.
      BeamObsError: there is no such run, file or record.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> import beam_obs.lineage as lineage
    >>> _ = pathlib.Path("words.txt").write_text("a\\nb\\n")
    >>> asked = ["--obs_report=off", "--obs_trace_share=1"]
    >>> with obs.Pipeline("FnApiRunner", argv=asked, name="words") as p:
    ...     _ = p | "read" >> beam.io.ReadFromText("words.txt") | "upper" >> beam.Map(str.upper)
    >>> answer = lineage.record_trace("words.txt:2")
    >>> answer.roots[0].span.attributes["beam.position"], answer.roots[0].children[0].span.name
    (2, 'upper')
    """
    store = store_at(store)
    origin = as_origin(target)
    if origin is None:
        _check_target(target)
        origin, run = _origin_at(store, target, run)
    records = [store.find(run)] if run is not None else list(_newest(store))
    problems: list[str] = []
    for record in records:
        found = _Spans(store, record, origin, problems)
        if found.of_origin:
            return found.answer(run_choice.run_of(record))
    known = records[0] if run is not None else _known_to(store, origin)
    reason = f"no run of the store {store.shown_uri} knows the origin" if known is None else _why_none(known)
    answered = None if known is None else run_choice.run_of(known)
    return RecordTrace(answered, origin, origin.hex(), notes=(*dict.fromkeys(problems), reason))


def _check_target(target: str) -> None:
    """Raises what is wrong with a target that is no origin, where that can be told from its text."""
    expected = "an origin of 32 hex digits, or a line or record of a file, e.g. fares.csv:7"
    if not target.strip():
        raise UsageError(f"found an empty text, expected {expected}")
    if os.path.exists(target):
        return
    if _HEX.fullmatch(target):
        raise UsageError(f"{target!r} has {len(target)} hex digits, expected {expected}")
    name, colon, number = target.rpartition(":")
    if colon and os.path.exists(name) and not number.isdecimal():
        raise UsageError(f"{target}: found {number!r}, expected the number of a line or record, from 1")


class _Spans:
    """The spans of a run that have to do with an origin."""

    def __init__(self, store: Store, record: RunRecord, origin: bytes, problems: list[str]) -> None:
        self._store, self._record, self._origin = store, record, origin
        self._problems = problems
        self.of_origin: list[SpanRow] = []
        self._read(origin.hex())

    def _read(self, text: str) -> None:
        kept = kept_spans(self._store, self._record.folder, text)
        self._problems += [f"run {self._record.id}: {problem}" for problem in kept.problems]
        self._all = kept.spans
        self.of_origin = [span for span in kept.spans if span.attributes.get(ORIGIN) == text]

    def answer(self, run: RunOf) -> RecordTrace:
        """Returns the way of the record."""
        trace_id = self.of_origin[0].trace_id
        roots, left_out = self._trees(_DEEPEST)
        notes = [*dict.fromkeys(self._problems)]
        if left_out:
            notes.append(f"{left_out:,} more spans of it are not shown")
        return RecordTrace(run, self._origin, trace_id, roots, tuple(notes))

    def _trees(self, deepest: int) -> tuple[tuple[SpanNode, ...], int]:
        newest: dict[str, SpanRow] = {}
        tries: dict[str, set[Any]] = {}
        traces, text = {span.trace_id for span in self.of_origin}, self._origin.hex()
        # Spans of user code say nothing of the record: they are below those that do.
        for span in self._all:
            is_of_others = span.attributes.get(ORIGIN, text) != text
            if span.trace_id in traces and not is_of_others:
                if span.span_id not in newest or span.end > newest[span.span_id].end:
                    newest[span.span_id] = span
                tries.setdefault(span.span_id, set()).add((span.start, span.end))
        below: dict[str, list[SpanRow]] = {}
        for span in newest.values():
            if span.parent_id in newest:
                if not _is_of_an_earlier_try(span, newest[span.parent_id], tries):
                    below.setdefault(span.parent_id, []).append(span)
            elif ORIGIN in span.attributes:
                below.setdefault("", []).append(span)
        linking: dict[str, list[SpanRow]] = {}
        for span in self._all:
            for link in span.links:
                if link.trace_id in traces and link.span_id in newest:
                    linking.setdefault(link.span_id, []).append(span)
        left = [_MOST_SPANS]

        def node(span: SpanRow, above: frozenset[str]) -> SpanNode | None:
            if span.span_id in above or left[0] == 0:
                return None
            left[0] -= 1
            within = above | {span.span_id}
            children = sorted(below.get(span.span_id, ()), key=_began)
            aggregates = {one.span_id: one for one in linking.get(span.span_id, ())}
            return SpanNode(
                span,
                len(tries[span.span_id]),
                tuple(filter(None, (node(child, within) for child in children))),
                tuple(
                    made
                    for one in list(aggregates.values())[:_MOST_INTO]
                    if deepest and (made := self._into(one, deepest - 1)) is not None
                ),
            )

        first = sorted(below.get("", ()), key=_began)
        roots = tuple(filter(None, (node(span, frozenset()) for span in first)))
        return roots, max(0, len(newest) - _MOST_SPANS)

    def _into(self, aggregate: SpanRow, deepest: int) -> SpanNode | None:
        """Returns the span of an aggregate, with what followed from it."""
        origin = as_origin(str(aggregate.attributes.get(ORIGIN, "")))
        if origin is None:
            return SpanNode(aggregate, 1)
        roots, _ = _Spans(self._store, self._record, origin, self._problems)._trees(deepest)
        found = (root for root in roots if root.span.span_id == aggregate.span_id)
        return next(found, SpanNode(aggregate, 1))


def _is_of_an_earlier_try(span: SpanRow, parent: SpanRow, tries: Mapping[str, set[Any]]) -> bool:
    """Returns whether a span is one of user code, whose ids differ each time, that the last try of a step
    did not make."""
    return ORIGIN not in span.attributes and len(tries[parent.span_id]) > 1 and span.start < parent.start


def _began(span: SpanRow) -> int:
    return span.start


def _origin_at(store: Store, target: str, run: str | None) -> tuple[bytes, str | None]:
    """Returns the origin of the record at a place, and the run that knows it."""
    try:
        forward = fate(target, run=run, store=store)
    except (BeamObsError, UsageError) as no_source:
        try:
            backward = why(target, run=run, store=store)
        except (BeamObsError, UsageError) as no_output:
            # What is no source either was not meant as one; an output of which more is known neither.
            is_output = isinstance(no_source, NotRead) and isinstance(no_output, (UsageError, NoSuchRecord))
            raise (no_output if is_output or isinstance(no_source, UsageError) else no_source) from None
        origin = _only(backward)
        if origin is None:
            told = f"{target}: the origin of this record is not known ({backward.certainty.text})"
            raise UsageError(told) from None
        return origin, run or (backward.run.id if backward.run is not None else None)
    if forward.into is None:
        raise UsageError(f"{target}: it is no record of the source")
    return forward.into.origin, run or (forward.run.id if forward.run is not None else None)


def _only(answer: Why) -> bytes | None:
    if answer.origin is not None:
        return answer.origin
    tree: FromSource | FromAggregate | None = next(iter(answer.made_of), None)
    return None if tree is None else tree.origin


def _newest(store: Store) -> Any:
    for number, record in enumerate(run_choice.newest(store)):
        if number == _RUNS_LOOKED_AT:
            return
        yield record


def _known_to(store: Store, origin: bytes) -> RunRecord | None:
    with contextlib.suppress(BeamObsError):
        evidence = run_choice.of_origin(store, origin, None, [])
        return None if evidence is None else evidence.record
    return None


def _why_none(record: RunRecord) -> str:
    """Returns why a run has no spans of a record."""
    traces: Mapping[str, Any] = record.start.get("traces") or {}
    if not traces:
        return "the run was not traced (--obs_traces, --obs_trace_share)"
    target, share = traces.get("target"), traces.get("share", 0.0)
    if target != "store":
        lost = ((record.end or {}).get("telemetry") or {}).get("telemetry_lost") or 0
        missing = f"; {lost:,} of the spans and log lines of the run reached nobody" if lost else ""
        return f"its spans were not kept here, but sent to {traces.get('sent_to') or 'a backend'}{missing}"
    return (
        f"no span of it was kept: the share of records that is traced is {share:g} (--obs_trace_share), "
        "and which ones, their origins decide; refused ones are traced in any case"
    )
