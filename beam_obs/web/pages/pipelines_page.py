"""All pipelines of a store, each with its newest runs; those that need a look come first."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

from beam_obs.records.number_text import counted
from beam_obs.store.pipeline_state import CHANGED, FAILED, LATE, ORDER, PipelineState, pipeline_state
from beam_obs.store.run_record import now_text
from beam_obs.store.run_summary import RunSummary
from beam_obs.store.timeliness import Timeliness, timeliness
from beam_obs.web.page import Page
from beam_obs.web.run_bars import SHOWN_RUNS, Bars, run_bars
from beam_obs.web.stored_runs import RunId, StoredRuns

_WITHOUT_FILTER = 8


@dataclasses.dataclass(frozen=True)
class PipelineRow:
    """A pipeline as one row.

    Args:
      state: how it is.
      bars: its newest runs.
      count: of all of its runs.
      is_whole: whether its newest runs were all read, and its last success is sure.
    """

    state: PipelineState
    bars: Bars
    count: int
    is_whole: bool

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return self.state.name

    @property
    def newest(self) -> RunSummary:
        """The newest run."""
        return self.state.newest


def pipelines_page(runs: StoredRuns, seen: str | None = None) -> Page:
    """Returns the page of all pipelines; without content where nothing changed since it was seen.

    Args:
      runs: the runs of the store.
      seen: what the page that is shown says of itself.

    Raises:
      StoreNotFound: there is no store.
    """
    ids = runs.ids_by_pipeline()
    newest = runs.summaries([of_one[0] for of_one in ids.values()])
    until = runs.until()
    known = newest | runs.summaries(list(_by_turns(ids)), until)
    now = now_text()
    rows = [_row(runs, name, of_one, known, now, until) for name, of_one in ids.items()]
    rows.sort(key=lambda row: row.newest.id, reverse=True)
    rows.sort(key=lambda row: ORDER.index(row.state.state))
    is_whole = all(row.is_whole for row in rows)
    if not is_whole:
        unknown = {row.name for row in rows if row.state.last_success is None}
        runs.read_on([*_by_turns(ids), *(one for name in unknown for one in ids[name][SHOWN_RUNS:])])
    never_ran = [
        (name, timeliness([], schedule, now))
        for name, schedule in sorted(runs.schedules.items())
        if name not in ids
    ]
    values = {
        "rows": rows,
        "never_ran": never_ran,
        "summary": _summary(rows, never_ran),
        "is_whole": is_whole,
        "has_filter": len(rows) + len(never_ran) > _WITHOUT_FILTER,
        "now": now,
    }
    told = _digest(rows, now)
    status = 204 if seen == told else 200
    return Page("pipelines.html", "Pipelines", values | {"told": told}, status)


def _digest(rows: list[PipelineRow], now: str) -> str:
    """Returns what is the same as long as the page says the same; how long ago things were, by the minute."""
    shown = [
        (row.name, row.count, row.is_whole, row.state.state, run.id, run.status, run.refused, run.taken)
        for row in rows
        for run in row.state.runs
    ]
    return hashlib.sha256(repr((now[:16], shown)).encode()).hexdigest()[:16]


def _by_turns(ids: dict[str, list[RunId]]) -> Iterator[RunId]:
    """Gives the newest run of each pipeline, then the second of each, and so on."""
    for at in range(SHOWN_RUNS):
        yield from (of_one[at] for of_one in ids.values() if at < len(of_one))


def _row(
    runs: StoredRuns,
    name: str,
    ids: list[RunId],
    known: dict[str, RunSummary],
    now: str,
    until: float | None,
) -> PipelineRow:
    wanted = ids[:SHOWN_RUNS]
    # Only runs without a gap between them: one that was not read yet may be the last success.
    read = []
    for run, _ in wanted:
        if run not in known:
            break
        read.append(known[run])
    last = next((run for run in read if run.is_success), None)
    is_whole = len(read) == len(wanted)
    if last is None and is_whole:
        last, is_whole = runs.last_success(ids[SHOWN_RUNS:], until)
    state = pipeline_state(name, read, last, now, runs.schedules.get(name))
    return PipelineRow(state, run_bars(read), len(ids), is_whole)


def _summary(rows: list[PipelineRow], never_ran: list[tuple[str, Timeliness]]) -> str:
    states = [row.state.state for row in rows]
    words = ((FAILED, "failed"), (LATE, "late"), (CHANGED, "changed"))
    told = [f"{states.count(state):,} {word}" for state, word in words if state in states]
    if never_ran:
        told.append(f"{len(never_ran):,} never ran")
    count = counted(sum(row.count for row in rows), "run")
    return ", ".join([f"{counted(len(rows), 'pipeline')}, {count}", *told])
