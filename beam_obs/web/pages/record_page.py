"""A record: what it was made of and what became of it, as trees down to the lines of source files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from beam_obs.lineage.ancestry import SHOWN_CONTRIBUTORS
from beam_obs.lineage.answers import Fate, FromAggregate, FromSource, Why
from beam_obs.lineage.backward import as_origin, why
from beam_obs.lineage.forward import NotRead, fate
from beam_obs.lineage.readable_files import ReadableFiles, only_files
from beam_obs.lineage.source_lines import SourceLine, source_record_in_lines
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.reports.lineage_words import shown_uri
from beam_obs.reports.store_argument import store_argument
from beam_obs.store.store import RunNotFound
from beam_obs.web.bounded_text import BLOCK, MOST_OF_LINE, BoundedText, bounded
from beam_obs.web.lineage_tree import Became, SourceShown, became, doubt, made_of, source_shown
from beam_obs.web.page import NotThere, Page
from beam_obs.web.stored_runs import StoredRuns
from beam_obs.web.trace_rows import trace_shown

_Answer = TypeVar("_Answer")


def record_page(runs: StoredRuns, origin: str, query: Mapping[str, str], files: ReadableFiles) -> Page:
    """Returns the page of an origin.

    Args:
      runs: of the store.
      origin: 32 hex digits.
      query: ``run`` that it is of, else the newest that knows it; ``first``, the contributor that is shown
        first, from 0.
      files: sources and outputs that may be shown.

    Raises:
      NotThere: it is no origin.
      RunNotFound: there is no such run.
    """
    if as_origin(origin) is None:
        raise NotThere(f"{origin!r} is no origin: it has 32 hex digits")
    run = query.get("run") or None
    first = _number(query.get("first", ""))
    with only_files(files):
        backward = why(origin, run=run, store=runs.store, first=first)
        forward = fate(origin, run=run or (backward.run.id if backward.run else None), store=runs.store)
        lines = _lines(forward)
    return _page(runs, origin, run, backward, forward, (), first, lines)


def record_at_page(runs: StoredRuns, query: Mapping[str, str], files: ReadableFiles) -> Page:
    """Returns the page of a record by its place in an output or a source.

    Args:
      runs: of the store.
      query: ``at``, ``FILE:N`` as `beam-obs why` and `fate` take it; ``run`` as they do.
      files: sources and outputs that may be shown.

    Raises:
      RunNotFound: there is no such run.
    """
    place = query.get("at", "").strip()
    run = query.get("run") or None
    if not place:
        return Page("record_asked.html", "A record by its place", {"run": run or ""})
    origin = as_origin(place)
    if origin is not None:
        return record_page(runs, place, query, files)
    if run is not None:
        run = runs.find(run).id
    with only_files(files):
        backward, no_output = _tried(lambda: why(place, run=run, store=runs.store))
        forward, no_source = _tried(lambda: fate(place, run=run, store=runs.store))
        lines = _lines(forward)
    problems = [error for error in (no_output, no_source) if error is not None]
    if backward is None and forward is None:
        raise NotThere("\n\n".join(dict.fromkeys(map(str, problems))))
    # That an output is no source, or a source no output, need not be said.
    told = tuple(str(error) for error in problems if not isinstance(error, (NotRead, RunNotFound)))
    return _page(runs, place, run, backward, forward, told, 0, lines)


def _tried(ask: Callable[[], _Answer]) -> tuple[_Answer | None, Exception | None]:
    """Returns an answer, or why there is none."""
    try:
        return ask(), None
    except (BeamObsError, UsageError) as error:
        return None, error


def _page(
    runs: StoredRuns,
    asked: str,
    run: str | None,
    backward: Why | None,
    forward: Fate | None,
    unanswered: tuple[str, ...],
    first: int,
    lines: tuple[tuple[SourceLine, BoundedText], ...],
) -> Page:
    answered = backward or forward
    assert answered is not None
    trees = () if backward is None else backward.made_of
    top = trees[0] if len(trees) == 1 and isinstance(trees[0], FromAggregate) else None
    written = None if backward is None else backward.record
    known = answered.run or (forward.run if forward is not None else None)
    origin = _origin_of(backward, forward)
    trace = trace_shown(runs.store, origin, known.id) if origin and known is not None else None
    rest = f"{f' --run {shlex.quote(run)}' if run else ''}{store_argument(runs.store)}"
    return Page(
        "record.html",
        f"Record {asked}",
        {
            "asked": shown_uri(asked),
            "run": known,
            "run_asked": run,
            "origin": origin,
            "written": bounded(written.text, BLOCK) if written is not None else None,
            "written_at": f"{shown_uri(written.file)}:{written.number}" if written is not None else "",
            "source": _source(forward),
            "lines_shown": lines,
            "why": backward,
            "why_doubt": doubt(backward.certainty) if backward is not None else "",
            "made_of": [made_of(tree) for tree in trees],
            "fate": forward,
            "fate_doubt": doubt(forward.certainty) if forward is not None else "",
            "became": _became(runs, forward),
            "elsewhere": _elsewhere(runs, forward),
            "is_source": len(trees) == 1 and isinstance(trees[0], FromSource) and written is None,
            "unanswered": unanswered,
            "first": first,
            "shown": len(top.contributors) if top is not None else 0,
            "kept": top.kept if top is not None else 0,
            "step": SHOWN_CONTRIBUTORS,
            "trace": trace,
            "commands": [
                f"beam-obs {command} {shlex.quote(asked)}{rest}"
                for command, answer in (("why", backward), ("fate", forward), ("trace", trace))
                if answer is not None
            ],
        },
    )


def _origin_of(backward: Why | None, forward: Fate | None) -> str:
    if backward is not None and backward.origin is not None:
        return backward.origin.hex()
    if forward is not None and forward.into is not None:
        return forward.into.origin.hex()
    return ""


def _became(runs: StoredRuns, forward: Fate | None) -> Became | None:
    if forward is None or forward.into is None or forward.run is None:
        return None
    graph = StepGraph(runs.find(forward.run.id).end)
    start = forward.partition.source if forward.partition is not None else forward.into.step
    return became(forward.into, graph, start)


def _elsewhere(runs: StoredRuns, forward: Fate | None) -> list[dict[str, Any]]:
    """Returns what became of the record in the runs that it was replayed from, and in its replays."""
    if forward is None:
        return []
    headings = (("Before, in run", forward.before), ("Replayed by run", forward.replays))
    return [
        {
            "heading": heading,
            "fate": one,
            "doubt": doubt(one.certainty),
            "became": _became(runs, one),
            "is_asked": one.into is not None
            and forward.into is not None
            and one.into.origin == forward.into.origin,
        }
        for heading, others in headings
        for one in others
    ]


def _source(forward: Fate | None) -> SourceShown | None:
    """Returns the source record that was asked for, as it is in its file now; None where it is none."""
    if forward is None or forward.partition is None or forward.record is None or forward.into is None:
        return None
    return source_shown(FromSource(forward.into.origin, forward.partition, forward.position, forward.record))


def _lines(forward: Fate | None) -> tuple[tuple[SourceLine, BoundedText], ...]:
    """Returns the lines of the source record that was asked for, with those beside them."""
    if forward is None or forward.partition is None or forward.record is None:
        return ()
    _, lines = source_record_in_lines(forward.partition, forward.position)
    return tuple((line, bounded(line.text, MOST_OF_LINE)) for line in lines)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0
