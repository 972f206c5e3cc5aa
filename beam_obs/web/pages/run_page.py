"""One run: its status, its steps and what went through them, inputs, outputs, and whether it adds up."""

from __future__ import annotations

from beam_obs.store.folding import folded_record
from beam_obs.web.page import Page
from beam_obs.web.stored_runs import StoredRuns


def run_page(runs: StoredRuns, selector: str) -> Page:
    """Returns the page of a run.

    Raises:
      RunNotFound: there is no such run.
    """
    record = runs.find(selector)
    folded = folded_record(record, False)
    return Page(
        "run.html",
        f"{record.pipeline} {record.id}",
        {"run": record, "end": folded.end or {}},
        is_live=record.end is None,
    )
