"""Kinds of refusal over the runs of a pipeline: what is new, recurring and gone, and how often each was."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from beam_obs.records.wording import moment_text
from beam_obs.reports.kinds_wording import left_out_text, may_be_there_text, since_text, unreached_text
from beam_obs.reports.store_argument import store_argument
from beam_obs.store.folding import WITHIN, kinds_by_row
from beam_obs.store.kinds_of_refusal import (
    GONE,
    NEW,
    RECURRING,
    KindChange,
    Kinds,
    PipelineKinds,
    counts_by_run,
    kinds_not_among,
    pipeline_kinds,
)
from beam_obs.store.run_summary import RunSummary
from beam_obs.web.page import Page
from beam_obs.web.run_bars import SHOWN_RUNS, Bars, count_bars
from beam_obs.web.stored_runs import RunId, StoredRuns

EARLIER = "earlier"
"""Kinds of neither of the two runs that are compared, which another of those that are shown had."""


class KindOverRuns(NamedTuple):
    """A kind of refusal.

    Args:
      kind: the kind, by row, with an example where it is of the runs that are compared.
      within: the part of its step that refused the records; empty where it has none.
      before: number of its letters in the earlier run; None of a kind of neither.
      after: number of its letters in the newest.
      notes: what is to be said of it, each with whether it is good to know at once.
      bars: its counts over the newest runs.
      run: id of the newest run that has it.
      seen: when it was seen in that run.
    """

    kind: dict[str, Any]
    within: str
    before: int | None
    after: int | None
    notes: list[tuple[str, bool]]
    bars: Bars
    run: str
    seen: str


def kinds_page(runs: StoredRuns, name: str) -> Page:
    """Returns the page of a pipeline's kinds of refusal.

    Raises:
      RunNotFound: there is no such pipeline.
    """
    ids = runs.ids(name)
    if not ids:
        runs.store.check_pipeline(name)
    found = runs.summaries(ids[:SHOWN_RUNS])
    shown = [found[run] for run, _ in ids[:SHOWN_RUNS]]

    def kinds_of(wanted: Sequence[RunId]) -> Iterator[tuple[str, Kinds]]:
        read = runs.summaries([*wanted])
        return ((run, read[run].kinds) for run, _ in wanted)

    compared = pipeline_kinds(runs.store, name, kinds_of)
    rows = _Rows(name, compared, shown).by_state()
    values = {
        "name": name,
        "newest": compared.newest,
        "previous": compared.previous,
        "runs": [
            (word, record, may_be_there_text(record))
            for word, record in (("newest", compared.newest), ("before it", compared.previous))
            if record is not None
        ],
        "left_out": left_out_text(compared),
        "groups": [(state, of_state) for state, of_state in rows.items() if of_state],
        "shown_runs": len(shown),
        "command": f"beam-obs dead-letters list --pipeline {shlex.quote(name)}{store_argument(runs.store)}",
    }
    return Page("kinds.html", f"{name}: kinds of refusal", values)


class _Rows:
    def __init__(self, name: str, compared: PipelineKinds, shown: Sequence[RunSummary]) -> None:
        self._compared = compared
        self._shown = shown
        kinds = [run.kinds for run in shown]
        changed = [change.kind for change in compared.changes]
        self._earlier = kinds_not_among(changed, kinds)
        counts = counts_by_run([*changed, *self._earlier], kinds)
        self._counts, self._earlier_counts = counts[: len(changed)], counts[len(changed) :]

    def by_state(self) -> dict[str, list[KindOverRuns]]:
        rows: dict[str, list[KindOverRuns]] = {NEW: [], RECURRING: [], GONE: [], EARLIER: []}
        for change, counts in zip(self._compared.changes, self._counts, strict=True):
            rows[change.state].append(self._of_change(change, counts))
        for kind, counts in zip(self._earlier, self._earlier_counts, strict=True):
            rows[EARLIER].append(self._row(kind, None, None, [], counts))
        return rows

    def _of_change(self, change: KindChange, counts: Sequence[int]) -> KindOverRuns:
        notes = []
        if since := since_text(change, self._compared):
            notes.append((since, change.came_back))
        if unreached := unreached_text(change):
            notes.append((unreached, True))
        before = change.before if self._compared.previous is not None else None
        return self._row(change.kind, before, change.after, notes, counts)

    def _row(
        self,
        kind: dict[str, Any],
        before: int | None,
        after: int | None,
        notes: list[tuple[str, bool]],
        counts: Sequence[int],
    ) -> KindOverRuns:
        newest = self._compared.newest
        (by_row,) = kinds_by_row(newest.end if newest is not None else None, [kind])
        has_it = next((run.id for run, count in zip(self._shown, counts, strict=True) if count), "")
        seen = moment_text(kind["first"], kind["last"])
        bars = count_bars(self._shown, counts, kind["fingerprint"])
        return KindOverRuns(by_row, by_row.get(WITHIN) or "", before, after, notes, bars, has_it, seen)
