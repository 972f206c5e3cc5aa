"""One run: its status, its steps and what went through them, inputs, outputs, and whether it adds up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from beam_obs.lineage.run_choice import is_service
from beam_obs.records.number_text import counted
from beam_obs.records.wording import letters_beside, lost_evidence
from beam_obs.reports.as_of import counts_text, growth_text
from beam_obs.reports.canary_notes import canary_notes
from beam_obs.reports.dataset_text import shown_places
from beam_obs.reports.failure_text import failing_record_text, failure_lines
from beam_obs.reports.lateness_text import lateness_text
from beam_obs.reports.marked_graph import MarkedGraph, NoStepsYet, marked_graph
from beam_obs.reports.next_commands import next_commands
from beam_obs.reports.replay_text import replay_text
from beam_obs.reports.run_notes import (
    balance_notes,
    count_notes,
    so_far_notes,
    telemetry_notes,
    worker_notes,
)
from beam_obs.reports.run_so_far import with_refusals
from beam_obs.reports.status_text import status_lines
from beam_obs.reports.step_detail import stage_of_kind
from beam_obs.store.folding import folded_record
from beam_obs.store.run_record import RunRecord, now_text, seconds_between
from beam_obs.store.run_record_forms import ERASED_AT_END
from beam_obs.web.graph_svg import GraphOnPage
from beam_obs.web.growth_line import growth_line
from beam_obs.web.page import Page
from beam_obs.web.step_rows import step_rows
from beam_obs.web.stored_runs import StoredRuns

MOST_READ = 5_000
"""Of dead letters of a run that has not ended, for a page that asks again every few seconds."""
SHOWN_KINDS = 10
_WITHOUT_FILTER = 20
"""So many steps are looked through without a field that filters them."""


def run_page(runs: StoredRuns, selector: str) -> Page:
    """Returns the page of a run.

    Raises:
      RunNotFound: there is no such run.
    """
    found = runs.find(selector)
    record = folded_record(with_refusals(found, runs.store, MOST_READ))
    end = record.last_known
    graph = graph_of(record)
    is_live = is_live_run(record)
    refused = end.get("dead_letters") or {}
    kinds = refused.get("by_fingerprint") or []
    error = end.get("error")
    values = {
        "run": record,
        "code": record.start.get("code") or {},
        "before": next((run for run, _ in runs.ids(record.pipeline) if run < record.id), None),
        "replay": replay_text(record.start),
        "parent": next((run for run, _ in runs.ids() if run == record.start.get("parent_run")), None),
        "so_far": seconds_so_far(record),
        "counts_text": counts_text(record) if record.end is None else "",
        "growth_text": " · ".join(filter(None, _growth(record))),
        "growth_line": growth_line((record.live or {}).get("history") or ()),
        "is_live": is_live,
        "problems": [*record.problems, *_erased(record)],
        "status_lines": status_lines(record),
        "lost": lost_evidence(end),
        "error": error,
        "error_lines": failure_lines(error, "the message below") if error else [],
        "failing_record": failing_record_text(error.get("at")) if error else "",
        "failed_steps": [step.label for step in graph.steps if step.has_failed] if graph else [],
        "graph": GraphOnPage(graph, record.id, is_live) if graph else None,
        "rows": step_rows(graph, kinds) if graph and end.get("counts_from") else [],
        "has_filter": graph is not None and len(graph.steps) > _WITHOUT_FILTER,
        "has_stages": graph is not None and any(step.is_stage for step in graph.steps),
        "has_dropped": graph is not None and any(step.dropped for step in graph.steps),
        "balance": balance_notes(end) if record.end is not None else so_far_notes(end),
        "notes": [
            *canary_notes(end),
            *(count_notes(end) if record.end is not None else ()),
            *worker_notes(end),
            *telemetry_notes(end),
        ],
        "refused": refused,
        "beside": letters_beside(refused, record.status),
        "kinds": [{**kind, "of_stage": stage_of_kind(kind)} for kind in kinds[:SHOWN_KINDS]],
        "more_kinds": max(0, len(kinds) - SHOWN_KINDS),
        "checks": end.get("checks") or [],
        "inputs": _datasets(end.get("inputs") or record.start.get("inputs") or []),
        "outputs": _datasets(end.get("outputs") or []),
        "options": _options(record.start.get("options") or {}),
        "commands": next_commands(record, runs.store),
    }
    return Page("run.html", f"{record.pipeline} {record.id}", values)


def graph_of(record: RunRecord) -> MarkedGraph | None:
    """Returns the graph of a run; None where no steps are known."""
    try:
        return marked_graph(record)
    except NoStepsYet:
        return None


def is_live_run(record: RunRecord) -> bool:
    """Returns whether a page of a run has to look again: its end, or more of it, may come."""
    return record.status in ("running", "submitted")


def seconds_so_far(record: RunRecord) -> float | None:
    """Returns for how many seconds a run has been running; None of one that is not."""
    if record.status != "running":
        return None
    return max(0.0, seconds_between(record.start["started"], now_text()))


def _erased(record: RunRecord) -> list[str]:
    erased = (record.end or {}).get(ERASED_AT_END)
    if not erased:
        return []
    return [f"{counted(erased, 'row')} of evidence {'was' if erased == 1 else 'were'} erased from it"]


def _options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in sorted(options.items())
    ]


def _first_record(dataset: Mapping[str, Any]) -> str | None:
    """Returns the place of the first record of an output, ``FILE:N``; None of what is not in files."""
    files = dataset.get("files") or []
    if files:  # of ours, where a file of CSV has a header
        return f"{files[0]['uri']}:{2 if files[0]['uri'].lower().endswith('.csv') else 1}"
    uri = dataset.get("uri")
    return None if not uri or is_service(uri) else f"{uri}:1"


def _datasets(datasets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for dataset, place in zip(datasets, shown_places(datasets), strict=True):
        files = dataset.get("files") or []
        rows.append(
            {
                "name": dataset.get("name") or dataset.get("label") or "",
                "label": dataset.get("label") or "",
                "place": place,
                "records": dataset.get("records"),
                "digest": dataset.get("digest"),
                "bytes": sum(file.get("bytes") or 0 for file in files),
                "file_count": dataset.get("file_count") or len(files) or None,
                "files": files,
                "first_record": _first_record(dataset),
            }
        )
    return rows


def _growth(record: RunRecord) -> list[str]:
    """Returns how fast records come, and how far behind the clock they are, of a run that has not ended."""
    return [growth_text(record), lateness_text(record.live or {}) if record.end is None else ""]
